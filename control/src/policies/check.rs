//! Is this document a bundle that may be saved, that may be published? Every problem at once, each with its place, the
//! rule that it breaks and a sentence that says what to do.
//!
//! Two measures: what could never be used is refused at save; what contradicts another part of the bundle may wait in
//! staging while an administrator goes on working, and is refused at publish.

use std::collections::BTreeSet;

use fanlight_wire::consent::Matter;
use fanlight_wire::limits::{
    BOOKMARK_ITEMS_MAX, KEY_DIGITS, KEY_TRIES_PER_GROUP_HOUR, KEY_TRIES_SIX_DIGITS_HOUR, MASK_BYTES_MAX,
};
use fanlight_wire::policy::{LEVEL_DOCUMENTS, LEVEL_SHARE, Mode};
use serde::Serialize;
use serde_json::Value;

use super::address::{Address, Pattern};
use super::bundle::{Bundle, Item, LEVEL_FOLDERS, ModeSet};
use super::schema::{misfits, schema};

/// Something that an administrator has to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// A JSON pointer (RFC 6901) into the bundle.
    pub(crate) path: String,
    pub(crate) rule: String,
    pub(crate) sentence: String,
}

impl Problem {
    pub(crate) fn new(path: &str, rule: &str, sentence: impl Into<String>) -> Self {
        Self { path: path.to_owned(), rule: rule.to_owned(), sentence: sentence.into() }
    }
}

/// A document that may be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) bundle: Bundle,
    /// Why it may not be published yet.
    pub(crate) before_publish: Vec<Problem>,
    /// What is legal and deserves a second look (promises D3).
    pub(crate) warnings: Vec<Problem>,
}

/// Reads and checks a document.
///
/// # Errors
/// Everything that keeps it from being saved.
pub(crate) fn check(document: &Value) -> Result<Checked, Vec<Problem>> {
    let mut problems = misfits(&schema(), document);
    let bundle = match serde_json::from_value::<Bundle>(document.clone()) {
        Ok(bundle) if problems.is_empty() => bundle,
        Ok(_) => return Err(problems),
        Err(error) => {
            // The schema has found it too, with its place; this is for what it might not understand one day.
            if problems.is_empty() {
                problems.push(Problem::new("", "docs/policy.md", error.to_string()));
            }
            return Err(problems);
        }
    };
    let mut save = Vec::new();
    addresses(&bundle, &mut save);
    counts(&bundle, &mut save);
    names(&bundle, &mut save);
    modes("/modes/instant", &bundle.modes.instant, &mut save);
    modes("/modes/advanced", &bundle.modes.advanced, &mut save);
    engines(&bundle, &mut save);
    keys(&bundle, &mut save);
    masks(&bundle, &mut save);
    if !save.is_empty() {
        return Err(save);
    }
    let mut before_publish = Vec::new();
    both_lists(&bundle, &mut before_publish);
    levels(&bundle, &mut before_publish);
    roles_of_links(&bundle, &mut before_publish);
    Ok(Checked { warnings: warnings(&bundle), bundle, before_publish })
}

fn addresses(bundle: &Bundle, to: &mut Vec<Problem>) {
    let lists = [
        ("/sites/allowed", &bundle.sites.allowed, "rules decision 8"),
        ("/documents/hosted", &bundle.documents.hosted, "R059"),
    ];
    for (path, patterns, rule) in lists {
        for (at, pattern) in patterns.iter().enumerate() {
            if let Err(unfit) = Pattern::parse(pattern) {
                to.push(Problem::new(&format!("{path}/{at}"), rule, unfit.sentence()));
            }
        }
    }
    let links = bundle.documents.links.iter().enumerate();
    let terms = Matter::ALL.map(|matter| (matter.label(), bundle.terms.of(matter)));
    let plain = bundle
        .bookmarks()
        .into_iter()
        .map(|(path, url, _)| (path, url, "R024"))
        .chain(links.map(|(at, link)| (format!("/documents/links/{at}/url"), link.url.as_str(), "R094")))
        .chain(terms.into_iter().filter_map(|(name, url)| Some((format!("/terms/{name}"), url.as_deref()?, "R082"))));
    for (path, url, rule) in plain {
        if let Err(unfit) = Address::parse(url) {
            to.push(Problem::new(&path, rule, unfit.sentence()));
        }
    }
}

fn counts(bundle: &Bundle, to: &mut Vec<Problem>) {
    let items = bundle.bookmark_items();
    if items > BOOKMARK_ITEMS_MAX {
        let sentence = format!(
            "There are {items} bookmarks and folders; at most {BOOKMARK_ITEMS_MAX} are allowed. Remove {}.",
            items - BOOKMARK_ITEMS_MAX
        );
        to.push(Problem::new("/sites/bookmarks", "R035", sentence));
    }
}

fn names(bundle: &Bundle, to: &mut Vec<Problem>) {
    let mut folders = BTreeSet::new();
    for (at, item) in bundle.sites.bookmarks.iter().enumerate() {
        let Item::Folder { name, .. } = item else { continue };
        let path = format!("/sites/bookmarks/{at}");
        if !folders.insert(name.trim().to_lowercase()) {
            to.push(Problem::new(&format!("{path}/name"), "R030", "Another folder has this name. Choose another one."));
        }
        if bundle.feature_level < LEVEL_FOLDERS {
            to.push(Problem::new(
                &path,
                "R021",
                "Folders need feature level 6.0. Raise the level or remove the folder.",
            ));
        }
    }
    let mut ids = BTreeSet::new();
    for (at, link) in bundle.documents.links.iter().enumerate() {
        if !ids.insert(link.id.as_str()) {
            let path = format!("/documents/links/{at}/id");
            to.push(Problem::new(&path, "R101", "Another document link has this id. Choose another one."));
        }
    }
}

fn modes(path: &str, set: &ModeSet, to: &mut Vec<Problem>) {
    if !set.allowed.contains(&set.default) {
        let sentence = "The default mode is not among the allowed ones. Allow it, or choose another default.";
        to.push(Problem::new(&format!("{path}/default"), "R155", sentence));
    }
}

fn engines(bundle: &Bundle, to: &mut Vec<Problem>) {
    if bundle.modes.instant.allowed.contains(&Mode::TruePointer) {
        let sentence = "View + True Pointer exists in Advanced mode only. Remove it here.";
        to.push(Problem::new("/modes/instant/allowed", "R163", sentence));
    }
}

fn keys(bundle: &Bundle, to: &mut Vec<Problem>) {
    let keys = &bundle.keys;
    // Promises 3.3: a thousandth of the numbers, so fewer tries; still generous to people and useless to a guesser.
    let most = if usize::from(keys.digits) < KEY_DIGITS { KEY_TRIES_SIX_DIGITS_HOUR } else { KEY_TRIES_PER_GROUP_HOUR };
    if keys.tries_per_group_hour > most {
        let sentence = format!("With {} digits, at most {most} wrong tries an hour are allowed.", keys.digits);
        to.push(Problem::new("/keys/tries_per_group_hour", "rules decision 10", sentence));
    }
}

fn masks(bundle: &Bundle, to: &mut Vec<Problem>) {
    for (name, masks) in [("instant", &bundle.privacy.instant), ("advanced", &bundle.privacy.advanced)] {
        if masks.bytes() > MASK_BYTES_MAX {
            let sentence =
                "The selectors are too long together: at most 4 096 bytes. Hide larger parts with fewer ones.";
            to.push(Problem::new(&format!("/privacy/{name}"), "R154", sentence));
        }
        for (list, selectors) in [("mask", &masks.mask), ("block", &masks.block), ("unmask", &masks.unmask)] {
            for at in (0..selectors.len()).filter(|at| selectors.get(*at).is_some_and(|text| !is_closed(text))) {
                let sentence =
                    "Write one whole selector: brackets closed, quotes in [...] only, no comments, on one line.";
                to.push(Problem::new(&format!("/privacy/{name}/{list}/{at}"), "R154", sentence));
            }
        }
    }
}

/// Does the selector end where its text ends, whatever a browser makes of it? The page joins them, so an open one would
/// swallow those behind it, and what they hide. Quotes are for values of attributes: elsewhere, and across lines, they
/// may not mean a text at all (CSS Syntax §4.3.6, §4.3.5).
fn is_closed(selector: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = selector.chars().peekable();
    while let Some(c) = rest.next() {
        let quoted = open.last().copied().filter(|end| matches!(end, '"' | '\''));
        match c {
            _ if c.is_control() => return false,
            // The character behind it stands for itself.
            '\\' if rest.next().is_none_or(char::is_control) => return false,
            '\\' => {}
            _ if quoted.is_some() => drop(quoted.filter(|end| *end == c).and_then(|_| open.pop())),
            '/' if rest.peek() == Some(&'*') => return false,
            '"' | '\'' if open.last() != Some(&']') => return false,
            '"' | '\'' => open.push(c),
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// R019, R020: while allowed sites are on, a bookmark must be on one of their hosts and within what they allow.
fn both_lists(bundle: &Bundle, to: &mut Vec<Problem>) {
    let allowed: Vec<Pattern> = bundle.sites.allowed.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
    if allowed.is_empty() {
        return;
    }
    for (path, url, _) in bundle.bookmarks() {
        let Ok(address) = Address::parse(url) else { continue };
        if !allowed.iter().any(|pattern| pattern.matches_host(&address)) {
            let host = address.host();
            let sentence = format!("No allowed site is on {host}. Allow it, or remove the bookmark.");
            to.push(Problem::new(&path, "R019", sentence));
        } else if !allowed.iter().any(|pattern| pattern.matches(&address)) {
            let sentence = "The allowed sites do not cover this page. Allow it, or remove the bookmark.";
            to.push(Problem::new(&path, "R020", sentence));
        }
    }
}

fn levels(bundle: &Bundle, to: &mut Vec<Problem>) {
    let mut needs = |wanted: bool, level: u16, path: &str, rule: &str, what: &str| {
        if wanted && bundle.feature_level < level {
            let sentence = format!("{what} needs feature level {}.{}.", level / 10, level % 10);
            to.push(Problem::new(path, rule, sentence));
        }
    };
    // Rights beyond the level are refused when they are used; lists beyond it would only be invisible.
    needs(!bundle.sites.bookmarks.is_empty(), LEVEL_SHARE, "/sites/bookmarks", "R016", "A bookmark");
    needs(!bundle.documents.links.is_empty(), LEVEL_DOCUMENTS, "/documents/links", "R056", "A document link");
    needs(!bundle.documents.hosted.is_empty(), LEVEL_DOCUMENTS, "/documents/hosted", "R056", "A hosted document");
}

fn roles_of_links(bundle: &Bundle, to: &mut Vec<Problem>) {
    for (at, link) in bundle.documents.links.iter().enumerate() {
        for (n, role) in link.roles.iter().enumerate().filter(|(_, role)| !bundle.roles.contains_key(*role)) {
            let path = format!("/documents/links/{at}/roles/{n}");
            to.push(Problem::new(&path, "R095", format!("There is no role {role}.")));
        }
    }
}

fn warnings(bundle: &Bundle) -> Vec<Problem> {
    let sentence = "This host is written with letters that may look like others. Make sure that it is the right one.";
    let lists = [("/sites/allowed", &bundle.sites.allowed), ("/documents/hosted", &bundle.documents.hosted)];
    let patterns = lists.into_iter().flat_map(|(path, patterns)| {
        patterns.iter().enumerate().filter_map(move |(at, text)| {
            let odd = Pattern::parse(text).is_ok_and(|pattern| pattern.is_international());
            odd.then(|| Problem::new(&format!("{path}/{at}"), "G-71", sentence))
        })
    });
    let bookmarks = bundle.bookmarks().into_iter().filter_map(|(path, url, _)| {
        let odd = Address::parse(url).is_ok_and(|address| address.is_international());
        odd.then(|| Problem::new(&path, "G-71", sentence))
    });
    patterns.chain(bookmarks).collect()
}

#[cfg(test)]
mod tests;
