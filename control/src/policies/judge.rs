//! Would it be allowed, and which rule decides? The answers of `POST /v1/policy/evaluate`.
//!
//! Invariant: a wish to share is answered as a running session would answer it. What a share may show is judged by
//! [`fanlight_wire::sites::Sites`] in both places; `tests/sim` asks both about the same wishes.

use std::borrow::Cow;

use fanlight_wire::policy::{LEVEL_DOCUMENTS, LEVEL_INVITE, LEVEL_SHARE, Mode, Surface};
use fanlight_wire::sites::Assurance;
use fanlight_wire::{Code, Refusal};
use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, Engine, RoleRules};
use super::compile::compile;

/// On which side somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Agent,
    Visitor,
}

/// What somebody would like to do.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Wish {
    /// Share this kind of surface, showing this address as surely as `assurance` says; without it, as surely as can be
    /// had of such a surface. A window is known by the bookmark that was opened in it (R020).
    Share { side: Side, surface: Option<Surface>, url: Option<String>, assurance: Option<Assurance> },
    /// Be in this mode.
    Mode {
        mode: Mode,
        #[serde(default)]
        engine: Engine,
    },
    /// Share a file, or an approved link.
    Document {
        side: Side,
        /// An approved document; without one, a file.
        link: Option<String>,
        bytes: Option<u64>,
        /// The other side wants to save it.
        #[serde(default)]
        save: bool,
    },
}

/// The answer, with the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) rule: Cow<'static, str>,
    pub(crate) sentence: Cow<'static, str>,
}

type Judged = Result<(), Refusal>;

/// Judges a wish of a role under a bundle.
pub(crate) fn judge(bundle: &Bundle, role: Option<&str>, wish: &Wish) -> Verdict {
    let (allowed_by, judged) = match wish {
        Wish::Share { side: Side::Agent, surface, url, assurance } => {
            ("R006", agent_share(bundle, role, *surface, url.as_deref(), *assurance))
        }
        Wish::Share { side: Side::Visitor, surface, .. } => ("R043", visitor_share(bundle, role, *surface)),
        Wish::Mode { mode, engine } => ("R155", in_mode(bundle, role, *mode, *engine)),
        Wish::Document { side, link, bytes, save } => {
            let paper = Paper { side: *side, link: link.as_deref(), bytes: *bytes, save: *save };
            ("R057", document(bundle, role, &paper))
        }
    };
    let judged = on(bundle.cobrowse_enabled, "R142", "Cobrowsing is switched off for the group.").and(judged);
    match judged {
        Ok(()) => Verdict { allowed: true, rule: allowed_by.into(), sentence: "This is allowed.".into() },
        Err(Refusal { rule, sentence, .. }) => Verdict { allowed: false, rule, sentence },
    }
}

fn on(is: bool, rule: &'static str, sentence: &'static str) -> Judged {
    if is { Ok(()) } else { Err(Refusal::new(Code::Policy, rule).saying(sentence)) }
}

fn agent_share(
    bundle: &Bundle,
    role: Option<&str>,
    surface: Option<Surface>,
    url: Option<&str>,
    assurance: Option<Assurance>,
) -> Judged {
    let policy = compile(bundle, 0, role);
    on(bundle.feature_level >= LEVEL_SHARE, "R005", "Sharing a screen needs feature level 5.3.")?;
    on(bundle.sharing.escalate_to_show, "R006", "Escalate to Show is off for the group.")?;
    on(policy.escalate_to_show, "R152", "Escalate to Show is off for the role.")?;
    // R047: a browser that does not say what it captures is taken to capture everything.
    let surface = surface.unwrap_or(Surface::Monitor);
    on(
        bundle.sharing.agent_surfaces.contains(&surface),
        "R007",
        "Agents of the group may not share that kind of surface.",
    )?;
    let known = assurance.unwrap_or_else(|| Assurance::best(surface));
    policy.sites.judge_surface(surface, known)?;
    on(policy.agent_surfaces.contains(&surface), "R152", "The role may not share that kind of surface.")?;
    match url {
        Some(url) => policy.sites.judge(surface, Some(url), known),
        None => Ok(()),
    }
}

fn visitor_share(bundle: &Bundle, role: Option<&str>, surface: Option<Surface>) -> Judged {
    let policy = compile(bundle, 0, role);
    on(bundle.feature_level >= LEVEL_INVITE, "R041", "A visitor's screen needs feature level 5.7.")?;
    on(bundle.sharing.escalate_to_view, "R043", "Escalate to View is off for the group.")?;
    on(policy.escalate_to_view, "R152", "Escalate to View is off for the role.")?;
    let surface = surface.unwrap_or(Surface::Monitor);
    on(policy.visitor_surfaces.contains(&surface), "R046", "Visitors may not share that kind of surface.")
}

fn in_mode(bundle: &Bundle, role: Option<&str>, mode: Mode, engine: Engine) -> Judged {
    on(mode != Mode::TruePointer || engine == Engine::Advanced, "R163", "True Pointer exists in Advanced mode only.")?;
    on(bundle.modes.of(engine).allowed.contains(&mode), "R155", "The group does not allow this mode.")?;
    let of_role = rules_of(bundle, role).is_none_or(|rules| rules.active && rules.modes.contains(&mode));
    on(of_role, "R152", "The role does not allow this mode.")
}

struct Paper<'a> {
    side: Side,
    link: Option<&'a str>,
    bytes: Option<u64>,
    save: bool,
}

fn document(bundle: &Bundle, role: Option<&str>, paper: &Paper<'_>) -> Judged {
    let documents = &bundle.documents;
    let rules = rules_of(bundle, role);
    on(bundle.feature_level >= LEVEL_DOCUMENTS, "R056", "Documents need feature level 5.2.")?;
    let may_save = match paper.side {
        Side::Agent => documents.visitor_may_save,
        Side::Visitor => {
            documents.agent_may_save && rules.as_ref().is_none_or(|rules| rules.active && rules.save_documents)
        }
    };
    let (saves, limit) = match paper.side {
        Side::Agent => ("R072", documents.agent_shares_bytes_max),
        Side::Visitor => ("R071", documents.visitor_shares_bytes_max),
    };
    if let Some(id) = paper.link {
        let link = documents.links.iter().find(|link| link.id == id);
        let absent = || Refusal::new(Code::Policy, "R101").saying("There is no such approved document.");
        let link = link.ok_or_else(absent)?;
        on(paper.side == Side::Agent, "R089", "Approved documents are for agents.")?;
        on(link.active, "R096", "The approved document is not active.")?;
        let named = link.roles.is_empty() || role.is_some_and(|role| link.roles.iter().any(|named| named == role));
        on(named, "R095", "The approved document is for other roles.")?;
        on(!paper.save || link.download, "R097", "The approved document may not be saved.")?;
        return on(!paper.save || may_save, saves, "The other side may not save documents.");
    }
    match paper.side {
        Side::Agent => {
            on(documents.agent_may_share, "R070", "Agents of the group may not share files.")?;
            on(
                rules.is_none_or(|rules| rules.active && rules.share_documents),
                "R152",
                "The role may not share files.",
            )?;
        }
        Side::Visitor => on(documents.visitor_may_share, "R069", "Visitors may not share files.")?,
    }
    on(!paper.save || may_save, saves, "The other side may not save documents.")?;
    let fits = !paper.save || paper.bytes.is_none_or(|bytes| bytes <= limit);
    on(fits, "R067", "The file is larger than what may be saved.")
}

/// The rules of a role; of one that the bundle does not know: all off.
fn rules_of(bundle: &Bundle, role: Option<&str>) -> Option<RoleRules> {
    role.map(|role| bundle.roles.get(role).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests;
