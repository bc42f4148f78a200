//! From the document to the rules that a session and its participants carry.
//!
//! Invariant: group AND role (R152). A role gives nothing that the group has not; a role that the bundle does not know, or
//! that is switched off, has nothing; somebody without a role has what the group has.

use fanlight_wire::address::{Address, Pattern};
use fanlight_wire::consent::{Matter, Question, Questions};
use fanlight_wire::limits::AGENTS_MAX;
use fanlight_wire::policy::{Capabilities, LEVEL_DOCUMENTS, LEVEL_INVITE, LEVEL_SHARE, Mode, Policy, Role, Surface};
use fanlight_wire::sites::{Assurance, Sites};

use super::Numbered;
use super::bundle::{Bundle, Engine, ModeSet, RoleRules};
use crate::particulars::{Kind, Particulars};

/// What such a session runs under (R153): the modes and the privacy profile of its engine, and the question whether an
/// agent may come in, in the words for what the session is for.
pub(crate) fn of_session(numbered: &Numbered, about: &Particulars) -> Policy {
    let mut policy = of_group(&numbered.bundle, numbered.version, about.engine);
    policy.questions.view = coming_in(&numbered.bundle, about.kind);
    policy
}

/// What the visitor is asked when an agent would like to come into a session of this kind.
pub(crate) fn coming_in(bundle: &Bundle, kind: Kind) -> Question {
    question(bundle, kind.asks())
}

/// The words that a visitor of this group may be shown.
pub(crate) fn questions(bundle: &Bundle) -> Questions {
    Questions::each(|matter| question(bundle, matter))
}

/// The rules of a session of this group in Instant mode; with a role, what is left of them for its agents.
pub(crate) fn compile(bundle: &Bundle, version: u32, role: Option<&str>) -> Policy {
    let group = of_group(bundle, version, Engine::Instant);
    match role {
        None => group,
        Some(role) => group.narrowed_to(&of_role(bundle.roles.get(role), &group)),
    }
}

/// What an agent's ticket may carry: the role's ceiling without what group or role have switched off.
pub(crate) fn capabilities(bundle: &Bundle, role: Option<&str>) -> Capabilities {
    let policy = compile(bundle, 0, role);
    let off = RoleRules::default();
    let may_annotate = role.is_none_or(|role| bundle.roles.get(role).unwrap_or(&off).annotate);
    let shows = policy.escalate_to_show && policy.feature_level >= LEVEL_SHARE && !policy.agent_surfaces.is_empty();
    let views = policy.escalate_to_view && policy.feature_level >= LEVEL_INVITE;
    let points = policy.allowed_modes.iter().any(|mode| *mode != Mode::ViewOnly);
    let is_active = role.is_none_or(|role| bundle.roles.get(role).unwrap_or(&off).active);
    let documents = bundle.cobrowse_enabled && is_active && policy.feature_level >= LEVEL_DOCUMENTS;
    // Without a role the mode refuses it, and says so better than a missing right would.
    let controls = role.is_none() || policy.allowed_modes.contains(&Mode::FullControl);
    let given = [
        (Capabilities::SUB_DOM, true),
        (Capabilities::SUB_SCREEN, true),
        (Capabilities::SUB_CAMERA, true),
        (Capabilities::END, true),
        (Capabilities::PUB_SCREEN, shows),
        (Capabilities::INVITE, views),
        (Capabilities::POINTER, points),
        (Capabilities::CONTROL_REQUEST, controls),
        (Capabilities::ANNOTATE, may_annotate),
        (Capabilities::DOC, documents),
    ];
    let shown = policy.agent_surfaces.iter().map(|surface| (Capabilities::showing(*surface), shows));
    let viewed = policy.visitor_surfaces.iter().map(|surface| (Capabilities::viewing(*surface), views));
    let all = given.into_iter().chain(shown).chain(viewed).filter(|(_, on)| *on);
    let all = all.fold(Capabilities::NONE, |all, (one, _)| all.union(one));
    all.narrowed_to(Role::Agent.ceiling())
}

/// The bundle that says what an earlier release's policy text said.
pub(crate) fn from_policy(policy: &Policy) -> Bundle {
    let mut bundle = Bundle { feature_level: policy.feature_level, ..Bundle::default() };
    bundle.sharing.escalate_to_show = policy.escalate_to_show;
    bundle.sharing.escalate_to_view = policy.escalate_to_view;
    bundle.sharing.agent_surfaces.clone_from(&policy.agent_surfaces);
    bundle.sharing.visitor_surfaces.clone_from(&policy.visitor_surfaces);
    bundle.modes.instant = ModeSet { allowed: policy.allowed_modes.clone(), default: policy.default_mode };
    bundle.privacy.instant = policy.masks.clone();
    bundle.session.agents_max = policy.agents_max.clamp(1, AGENTS_MAX as u16);
    bundle.session.dom_cache = policy.dom_cache;
    bundle.session.end_on_agent_leave = policy.end_on_agent_leave;
    bundle.session.minutes_max = policy.minutes_max;
    bundle.consent.seconds = policy.question_seconds;
    bundle
}

fn of_group(bundle: &Bundle, version: u32, engine: Engine) -> Policy {
    let Bundle { sharing, session, .. } = bundle;
    let modes = bundle.modes.of(engine);
    let on = bundle.cobrowse_enabled;
    let sites = sites_of(bundle);
    let known = |surface: &Surface| !sites.are_on() || Assurance::best(*surface) >= sharing.assurance.of(*surface);
    let default_mode = if on { modes.default } else { Mode::ViewOnly };
    Policy {
        version,
        feature_level: bundle.feature_level,
        escalate_to_show: on && sharing.escalate_to_show,
        escalate_to_view: on && sharing.escalate_to_view,
        agent_surfaces: sharing.agent_surfaces.iter().filter(|surface| known(surface)).copied().collect(),
        visitor_surfaces: sharing.visitor_surfaces.clone(),
        allowed_modes: if on { modes.allowed.clone() } else { vec![Mode::ViewOnly] },
        default_mode,
        agents_max: session.agents_max,
        dom_cache: session.dom_cache,
        end_on_agent_leave: session.end_on_agent_leave,
        minutes_max: session.minutes_max,
        question_seconds: bundle.consent.seconds,
        masks: bundle.privacy.of(engine).clone(),
        sites,
        questions: Box::new(questions(bundle)),
    }
}

/// The group's words, or the standard ones where it has none (R045, R082).
fn question(bundle: &Bundle, matter: Matter) -> Question {
    let text = bundle.consent.text(matter);
    let standard = Question::standard(matter);
    let text = if text.trim().is_empty() { standard.text } else { text.to_owned() };
    Question { text, terms: bundle.terms.of(matter).clone() }
}

/// What was checked at save reads; what does not read is on no list, which allows less.
fn sites_of(bundle: &Bundle) -> Sites {
    let allowed = bundle.sites.allowed.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
    let active = bundle.bookmarks().into_iter().filter(|(_, _, active)| *active);
    let bookmarks = active.filter_map(|(_, url, _)| Address::parse(url).ok()).collect();
    Sites::new(allowed, bookmarks, bundle.sharing.assurance)
}

fn of_role(rules: Option<&RoleRules>, group: &Policy) -> Policy {
    let off = RoleRules::default();
    let rules = rules.filter(|rules| rules.active).unwrap_or(&off);
    Policy {
        escalate_to_show: rules.escalate_to_show,
        escalate_to_view: rules.escalate_to_view,
        agent_surfaces: rules.agent_surfaces.clone(),
        visitor_surfaces: rules.visitor_surfaces.clone(),
        allowed_modes: rules.modes.clone(),
        ..group.clone()
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::policy::Masks;
    use fanlight_wire::sites::Assurances;
    use proptest::prelude::*;

    use super::*;

    fn with_role(rules: RoleRules) -> Bundle {
        Bundle { roles: [("sales".to_owned(), rules)].into(), ..Bundle::default() }
    }

    #[test]
    fn a_groups_words_and_terms_reach_the_question() {
        // R045 R082 R165
        let mut bundle = Bundle::default();
        bundle.consent.view = "May we look?".into();
        bundle.terms.view = Some("https://shop.example/terms".into());
        bundle.consent.control = "May we click?".into();
        bundle.terms.document = Some("https://shop.example/documents".into());
        bundle.consent.camera = "\n".into();
        let Questions { view, screen, control, document, camera, .. } = *compile(&bundle, 1, None).questions;
        assert_eq!((view.text.as_str(), view.terms.as_deref()), ("May we look?", Some("https://shop.example/terms")));
        assert_eq!((screen.text.as_str(), screen.terms), (Question::standard(Matter::Screen).text.as_str(), None));
        assert_eq!(control.text, "May we click?");
        assert_eq!(document.text, Question::standard(Matter::Document).text);
        assert_eq!(camera, Question::standard(Matter::Camera), "an empty line says nothing");
        assert_eq!(document.terms.as_deref(), Some("https://shop.example/documents"));
        // What was agreed to is not rewritten by *enforce*.
        let narrowed = compile(&bundle, 1, None).narrowed_to(&compile(&Bundle::default(), 2, None));
        assert_eq!(narrowed.questions.view.text, "May we look?");
    }

    #[test]
    fn whoever_comes_in_is_asked_about_what_the_session_is_for() {
        // R116 R127 R138
        let mut bundle = Bundle::default();
        bundle.consent.show = "May we show you something?".into();
        bundle.terms.camera = Some("https://shop.example/camera".into());
        let numbered = Numbered { version: 3, bundle };
        let of = |kind| of_session(&numbered, &Particulars { kind, ..Particulars::default() }).questions;
        assert_eq!(of(Kind::Cobrowse).view, Question::standard(Matter::View));
        assert_eq!(of(Kind::Show).view.text, "May we show you something?");
        assert_eq!(of(Kind::View).view, of(Kind::View).screen, "one press answers both");
        let camera = of(Kind::Camera);
        assert_eq!(camera.view, camera.camera, "the tap on the phone, too");
        assert_eq!(camera.view.terms.as_deref(), Some("https://shop.example/camera"));
        for kind in [Kind::Cobrowse, Kind::Show, Kind::View, Kind::Camera] {
            assert_eq!(of(kind).view, coming_in(&numbered.bundle, kind), "an invitation asks the same");
        }
    }

    #[test]
    fn each_engine_has_a_privacy_profile_and_modes_of_its_own() {
        // R153 R157 R160
        let mut bundle = Bundle::default();
        bundle.privacy.instant.mask = vec![".instant".into()];
        bundle.privacy.advanced = Masks { everything: true, block: vec!["#advanced".into()], ..Masks::default() };
        let numbered = Numbered { version: 3, bundle };
        let of = |engine| of_session(&numbered, &Particulars { engine, ..Particulars::default() });
        let (instant, advanced) = (of(Engine::Instant), of(Engine::Advanced));
        assert_eq!((&instant.masks, instant.default_mode), (&numbered.bundle.privacy.instant, Mode::ViewPointer));
        assert_eq!((&advanced.masks, advanced.default_mode), (&numbered.bundle.privacy.advanced, Mode::ViewOnly));
        assert!(advanced.allowed_modes.contains(&Mode::TruePointer), "{:?}", advanced.allowed_modes);
        assert_eq!(of_session(&numbered, &Particulars::default()), instant, "which is what sessions are");
    }

    #[test]
    fn the_default_bundle_is_the_default_policy() {
        assert_eq!(compile(&Bundle::default(), 1, None), Policy::default());
        assert_eq!(capabilities(&Bundle::default(), None), Role::Agent.ceiling());
        let tight = Policy { escalate_to_view: false, agents_max: 3, feature_level: 55, ..Policy::default() };
        assert_eq!(compile(&from_policy(&tight), 1, None), tight, "an older store's rules are kept");
    }

    #[test]
    fn a_role_narrows_and_gets_its_state_back_with_the_group() {
        // R152
        let rules =
            RoleRules { active: true, escalate_to_show: true, modes: vec![Mode::ViewPointer], ..RoleRules::default() };
        let mut bundle = with_role(rules);
        bundle.roles.entry("sales".into()).and_modify(|rules| rules.agent_surfaces = vec![Surface::Window]);
        let sales = |bundle: &Bundle| compile(bundle, 1, Some("sales"));
        assert!(sales(&bundle).escalate_to_show && !sales(&bundle).escalate_to_view);
        assert_eq!(sales(&bundle).agent_surfaces, [Surface::Window]);
        // R007: a role's surfaces travel with its agents' tickets.
        let rights = capabilities(&bundle, Some("sales"));
        assert!(rights.contains(Capabilities::SHOW_WINDOW) && !rights.contains(Capabilities::SHOW_BROWSER));
        assert_eq!(sales(&bundle).allowed_modes, [Mode::ViewPointer]);
        bundle.sharing.escalate_to_show = false;
        assert!(!sales(&bundle).escalate_to_show, "group off is off for every role");
        assert!(!capabilities(&bundle, Some("sales")).contains(Capabilities::SHOW_WINDOW));
        bundle.sharing.escalate_to_show = true;
        assert!(sales(&bundle).escalate_to_show, "and the role's own state comes back");
        bundle.cobrowse_enabled = false;
        assert!(!sales(&bundle).escalate_to_show && sales(&bundle).allowed_modes == [Mode::ViewOnly]);
    }

    #[test]
    fn a_role_that_is_off_or_unknown_has_nothing_and_a_new_setting_starts_off() {
        let bundle = with_role(RoleRules { escalate_to_show: true, ..RoleRules::default() });
        for role in ["sales", "nobody"] {
            let policy = compile(&bundle, 1, Some(role));
            assert!(!policy.escalate_to_show && policy.agent_surfaces.is_empty(), "{role}");
            assert_eq!(policy.allowed_modes, [Mode::ViewOnly]);
            assert!(!capabilities(&bundle, Some(role)).contains(Capabilities::PUB_SCREEN));
        }
        let fresh: RoleRules = serde_json::from_str(r#"{"active":true}"#).expect("an older bundle's role");
        assert_eq!(fresh, RoleRules { active: true, ..RoleRules::default() });
    }

    #[test]
    fn allowed_sites_refuse_what_cannot_be_known() {
        // R007, rules.md decision 8: a monitor is neither stated nor proved.
        let mut bundle = Bundle::default();
        bundle.sites.allowed.push("https://good.example/*".into());
        assert_eq!(compile(&bundle, 1, None).agent_surfaces, [Surface::Browser, Surface::Window]);
        bundle.sharing.assurance = Assurances { monitor: Assurance::Surface, ..Assurances::default() };
        assert_eq!(compile(&bundle, 1, None).agent_surfaces, Surface::ALL);
    }

    fn a_policy() -> impl Strategy<Value = Policy> {
        let surfaces = || proptest::sample::subsequence(Surface::ALL.to_vec(), 0..=3);
        let modes = proptest::sample::subsequence(Mode::ALL.to_vec(), 1..=4);
        let numbers = (40..=60_u16, 1..=64_u16, any::<u32>(), 3..=600_u16);
        (any::<[bool; 4]>(), surfaces(), surfaces(), modes, numbers).prop_map(
            |(flags, agent, visitor, modes, numbers)| {
                let [escalate_to_show, escalate_to_view, dom_cache, end_on_agent_leave] = flags;
                Policy {
                    version: numbers.2,
                    feature_level: numbers.0,
                    escalate_to_show,
                    escalate_to_view,
                    agent_surfaces: agent,
                    visitor_surfaces: visitor,
                    default_mode: modes[0],
                    allowed_modes: modes,
                    agents_max: numbers.1,
                    dom_cache,
                    end_on_agent_leave,
                    minutes_max: escalate_to_show.then_some(numbers.1),
                    question_seconds: numbers.3,
                    masks: Masks { everything: dom_cache, ..Masks::default() },
                    sites: sites(numbers.0, escalate_to_view),
                    questions: Box::default(),
                }
            },
        )
    }

    fn sites(level: u16, on: bool) -> Sites {
        let pattern = Pattern::parse(&format!("https://good.example/{}/*", level % 3)).expect("a pattern");
        Sites::new(if on { vec![pattern] } else { Vec::new() }, Vec::new(), Assurances::default())
    }

    /// May a tab be shared that shows the page of one of the three lists?
    fn may_show(policy: &Policy, n: u16) -> bool {
        let url = format!("https://good.example/{n}/x");
        policy.sites.judge(Surface::Browser, Some(&url), Assurance::Proved).is_ok()
    }

    /// Is everything that `inner` allows allowed by `outer`? View Only is what is left when nothing is.
    fn within(inner: &Policy, outer: &Policy) -> bool {
        let surfaces = |inner: &[Surface], outer: &[Surface]| inner.iter().all(|surface| outer.contains(surface));
        let mode = |mode: &Mode| *mode == Mode::ViewOnly || outer.allowed_modes.contains(mode);
        inner.feature_level <= outer.feature_level
            && inner.escalate_to_show <= outer.escalate_to_show
            && inner.escalate_to_view <= outer.escalate_to_view
            && surfaces(&inner.agent_surfaces, &outer.agent_surfaces)
            && surfaces(&inner.visitor_surfaces, &outer.visitor_surfaces)
            && inner.allowed_modes.iter().all(mode)
            && inner.allowed_modes.contains(&inner.default_mode)
            && inner.agents_max <= outer.agents_max
            && inner.dom_cache <= outer.dom_cache
            && inner.masks.everything >= outer.masks.everything
            && outer.minutes_max.is_none_or(|most| inner.minutes_max.is_some_and(|minutes| minutes <= most))
            && (0..3).all(|n| may_show(inner, n) <= may_show(outer, n))
    }

    proptest! {
        #[test]
        fn whatever_is_enforced_nothing_widens(own in a_policy(), first in a_policy(), second in a_policy()) {
            let once = own.narrowed_to(&first);
            prop_assert!(within(&once, &own) && within(&once, &first), "{once:?}");
            prop_assert_eq!(&once.narrowed_to(&first), &once, "repeating it changes nothing");
            let twice = once.narrowed_to(&second);
            prop_assert!(within(&twice, &once) && within(&twice, &second), "{twice:?}");
        }
    }
}
