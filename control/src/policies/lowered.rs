//! Does one version of the rules hide less of visitors' pages than another?

use fanlight_wire::policy::Masks;

use super::bundle::Privacy;

/// The place of a rule that hides less than before, as a JSON pointer; `None`: whatever was hidden stays hidden.
pub(crate) fn lowered(before: &Privacy, after: &Privacy) -> Option<String> {
    let engines = [("instant", &before.instant, &after.instant), ("advanced", &before.advanced, &after.advanced)];
    engines.into_iter().find_map(|(engine, before, after)| {
        hides_less(before, after).map(|setting| format!("/privacy/{engine}/{setting}"))
    })
}

fn hides_less(before: &Masks, after: &Masks) -> Option<&'static str> {
    let kept = |selector: &String| after.mask.contains(selector) || after.block.contains(selector);
    if before.everything && !after.everything {
        return Some("everything");
    }
    if !before.mask.iter().all(kept) {
        return Some("mask");
    }
    if !before.block.iter().all(|selector| after.block.contains(selector)) {
        return Some("block");
    }
    // Without `everything`, too: fields are hidden by default, and so is what lies in something masked.
    let shows_more = !after.unmask.iter().all(|selector| before.unmask.contains(selector));
    shows_more.then_some("unmask")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(everything: bool, mask: &[&str], block: &[&str], unmask: &[&str]) -> Masks {
        let list = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Masks { everything, mask: list(mask), block: list(block), unmask: list(unmask) }
    }

    #[test]
    fn less_is_hidden_when_a_rule_goes_or_more_is_shown_on_purpose() {
        // R153, R154
        let before = masks(true, &[".card"], &[".face"], &["nav"]);
        let place = |after: Masks| hides_less(&before, &after);
        assert_eq!(place(before.clone()), None);
        assert_eq!(place(masks(true, &[".card", ".more"], &[".face", ".other"], &[])), None, "more is hidden");
        assert_eq!(place(masks(true, &[], &[".face", ".card"], &["nav"])), None, "left out instead of masked");
        assert_eq!(place(masks(false, &[".card"], &[".face"], &["nav"])), Some("everything"));
        assert_eq!(place(masks(true, &[], &[".face"], &["nav"])), Some("mask"));
        assert_eq!(place(masks(true, &[".card", ".face"], &[], &["nav"])), Some("block"));
        assert_eq!(place(masks(true, &[".card"], &[".face"], &["nav", "main"])), Some("unmask"));
        let open = Masks::default();
        assert_eq!(
            hides_less(&open, &masks(false, &[], &[], &["input"])),
            Some("unmask"),
            "fields are hidden by default"
        );
        assert_eq!(hides_less(&open, &masks(true, &[], &[], &["main"])), Some("unmask"), "and the fields in there");
        assert_eq!(hides_less(&masks(false, &[], &[], &["input"]), &open), None, "shown before");
        let closed = masks(true, &[".card"], &[], &[]);
        let (weak, strong) = (Privacy::default(), Privacy { advanced: closed, ..Privacy::default() });
        assert_eq!(lowered(&strong, &weak).as_deref(), Some("/privacy/advanced/everything"));
        assert_eq!(lowered(&weak, &strong), None);
    }
}
