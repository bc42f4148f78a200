//! Compiled rules: who a participant is, what it may do, and the permission table as data (`docs/protocol.md` §8).

use serde::{Deserialize, Serialize};

use crate::consent::Questions;
use crate::frame::Kind;
use crate::limits::{CONSENT_SECONDS, MASK_BYTES_MAX};
use crate::sites::Sites;

/// What a participant is in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Shows the page; decides.
    Visitor,
    /// Watches, points, may share and ask for control.
    Agent,
    /// Watches only.
    Guest,
    /// A server that routes media into and out of the session.
    Upstream,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Visitor, Self::Agent, Self::Guest, Self::Upstream];

    /// Metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Visitor => "visitor",
            Self::Agent => "agent",
            Self::Guest => "guest",
            Self::Upstream => "upstream",
        }
    }

    /// The most a ticket of this role may ever carry: a visitor never watches, an agent never grants.
    pub const fn ceiling(self) -> Capabilities {
        match self {
            Self::Visitor => Capabilities::VISITOR,
            Self::Agent => Capabilities::AGENT,
            Self::Guest => Capabilities::GUEST,
            Self::Upstream => Capabilities::UPSTREAM,
        }
    }
}

/// How much an agent may do on the visitor's page (R155–R164).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    ViewOnly,
    ViewPointer,
    TruePointer,
    FullControl,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::ViewOnly, Self::ViewPointer, Self::TruePointer, Self::FullControl];

    pub const fn label(self) -> &'static str {
        match self {
            Self::ViewOnly => "view_only",
            Self::ViewPointer => "view_pointer",
            Self::TruePointer => "true_pointer",
            Self::FullControl => "full_control",
        }
    }
}

/// What somebody captures (R003). A browser that does not say is treated as sharing a whole monitor (R047).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// One browser tab; `displaySurface` calls it `browser`.
    Browser,
    Window,
    Monitor,
}

impl Surface {
    pub const ALL: [Self; 3] = [Self::Browser, Self::Window, Self::Monitor];
}

/// A set of rights, as bits. It can be narrowed, never widened, once a ticket is minted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(u32);

impl Capabilities {
    pub const NONE: Self = Self(0);
    pub const PUB_DOM: Self = Self(1);
    pub const PUB_SCREEN: Self = Self(1 << 1);
    pub const PUB_CAMERA: Self = Self(1 << 2);
    pub const SUB_DOM: Self = Self(1 << 3);
    pub const SUB_SCREEN: Self = Self(1 << 4);
    pub const SUB_CAMERA: Self = Self(1 << 5);
    /// Show a pointer on the visitor's page.
    pub const POINTER: Self = Self(1 << 6);
    /// Ask for control; granting it is the visitor's alone.
    pub const CONTROL_REQUEST: Self = Self(1 << 7);
    pub const CONTROL_GRANT: Self = Self(1 << 8);
    pub const END: Self = Self(1 << 9);
    /// Ask the visitor to share a screen.
    pub const INVITE: Self = Self(1 << 10);
    pub const ANNOTATE: Self = Self(1 << 11);
    /// What an agent's share may be of (R007).
    pub const SHOW_BROWSER: Self = Self(1 << 12);
    pub const SHOW_WINDOW: Self = Self(1 << 13);
    pub const SHOW_MONITOR: Self = Self(1 << 14);
    /// What a visitor whom this agent has invited may share (R046).
    pub const VIEW_BROWSER: Self = Self(1 << 15);
    pub const VIEW_WINDOW: Self = Self(1 << 16);
    pub const VIEW_MONITOR: Self = Self(1 << 17);

    /// Take part in document sharing (R056). Nothing uses it yet; who may have it is decided already (R062, R064).
    pub const DOC: Self = Self(1 << 18);

    /// Names as used on the command line and in documents, in the order of the bits.
    pub const NAMES: [(&'static str, Self); 19] = [
        ("pub.dom", Self::PUB_DOM),
        ("pub.screen", Self::PUB_SCREEN),
        ("pub.camera", Self::PUB_CAMERA),
        ("sub.dom", Self::SUB_DOM),
        ("sub.screen", Self::SUB_SCREEN),
        ("sub.camera", Self::SUB_CAMERA),
        ("ptr.draw", Self::POINTER),
        ("ctl.request", Self::CONTROL_REQUEST),
        ("ctl.grant", Self::CONTROL_GRANT),
        ("end", Self::END),
        ("share.invite", Self::INVITE),
        ("annotate", Self::ANNOTATE),
        ("show.browser", Self::SHOW_BROWSER),
        ("show.window", Self::SHOW_WINDOW),
        ("show.monitor", Self::SHOW_MONITOR),
        ("view.browser", Self::VIEW_BROWSER),
        ("view.window", Self::VIEW_WINDOW),
        ("view.monitor", Self::VIEW_MONITOR),
        ("doc", Self::DOC),
    ];

    pub const SHOW_ANY: Self = Self(Self::SHOW_BROWSER.0 | Self::SHOW_WINDOW.0 | Self::SHOW_MONITOR.0);
    pub const VIEW_ANY: Self = Self(Self::VIEW_BROWSER.0 | Self::VIEW_WINDOW.0 | Self::VIEW_MONITOR.0);

    const VISITOR: Self = Self(
        Self::PUB_DOM.0
            | Self::PUB_SCREEN.0
            | Self::PUB_CAMERA.0
            | Self::SUB_SCREEN.0
            | Self::CONTROL_GRANT.0
            | Self::END.0
            | Self::DOC.0,
    );
    const AGENT: Self = Self(
        Self::PUB_SCREEN.0
            | Self::SUB_DOM.0
            | Self::SUB_SCREEN.0
            | Self::SUB_CAMERA.0
            | Self::POINTER.0
            | Self::CONTROL_REQUEST.0
            | Self::END.0
            | Self::INVITE.0
            | Self::ANNOTATE.0
            | Self::SHOW_ANY.0
            | Self::VIEW_ANY.0
            | Self::DOC.0,
    );
    const GUEST: Self = Self(Self::SUB_DOM.0 | Self::SUB_SCREEN.0 | Self::SUB_CAMERA.0);
    const UPSTREAM: Self =
        Self(Self::PUB_SCREEN.0 | Self::PUB_CAMERA.0 | Self::SUB_SCREEN.0 | Self::SUB_CAMERA.0 | Self::SUB_DOM.0);

    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u32 {
        self.0
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both allow.
    #[must_use]
    pub const fn narrowed_to(self, ceiling: Self) -> Self {
        Self(self.0 & ceiling.0)
    }

    /// What is left when `others` are taken away.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// The right to share a surface of this kind.
    pub const fn showing(surface: Surface) -> Self {
        match surface {
            Surface::Browser => Self::SHOW_BROWSER,
            Surface::Window => Self::SHOW_WINDOW,
            Surface::Monitor => Self::SHOW_MONITOR,
        }
    }

    /// The right to invite a share of this kind.
    pub const fn viewing(surface: Surface) -> Self {
        match surface {
            Surface::Browser => Self::VIEW_BROWSER,
            Surface::Window => Self::VIEW_WINDOW,
            Surface::Monitor => Self::VIEW_MONITOR,
        }
    }

    /// Reads one name of [`Self::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }
}

/// What the visitor's page hides beyond what its own widget was told: lists of CSS selectors. Only the page can obey.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Masks {
    /// Hide everything that is not named in `unmask`.
    pub everything: bool,
    /// Text and fields in here are masked.
    pub mask: Vec<String>,
    /// Elements in here are replaced by empty boxes.
    pub block: Vec<String>,
    /// Shown in spite of `everything`, of a mask further out and of being a field's value; never where the same element is
    /// named by `mask` or `block`, and never what no rule opens.
    pub unmask: Vec<String>,
}

impl Masks {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes as JSON.
    pub fn bytes(&self) -> usize {
        let list = |list: &[String]| list.iter().map(|text| text.len() + text.matches(['"', '\\']).count() + 3).sum();
        let [mask, block, unmask]: [usize; 3] = [list(&self.mask), list(&self.block), list(&self.unmask)];
        64 + mask + block + unmask
    }

    /// Hides what either hides. Lists that grow beyond [`MASK_BYTES_MAX`] hide everything instead.
    #[must_use]
    pub fn united(&self, other: &Self) -> Self {
        let both = |mine: &[String], theirs: &[String]| -> Vec<String> {
            let more = theirs.iter().filter(|text| !mine.contains(text));
            mine.iter().chain(more).cloned().collect()
        };
        let united = Self {
            everything: self.everything || other.everything,
            mask: both(&self.mask, &other.mask),
            block: both(&self.block, &other.block),
            unmask: self.unmask.iter().filter(|text| other.unmask.contains(text)).cloned().collect(),
        };
        if united.bytes() > MASK_BYTES_MAX { Self { everything: true, ..Self::default() } } else { united }
    }
}

/// The rules a session has pinned at its creation. Publishing a newer bundle never changes a running session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Version of the bundle it was compiled from.
    pub version: u32,
    /// Feature level × 10 (53 = "CB 5.3"), a setting of the group.
    pub feature_level: u16,
    /// Agents may share their screen (R006).
    pub escalate_to_show: bool,
    /// Agents may ask for the visitor's screen (R043).
    pub escalate_to_view: bool,
    pub agent_surfaces: Vec<Surface>,
    pub visitor_surfaces: Vec<Surface>,
    pub allowed_modes: Vec<Mode>,
    pub default_mode: Mode,
    /// Agents and guests at one time (R185).
    pub agents_max: u16,
    /// Keep snapshot and log in memory for late agents; off costs the visitor one snapshot per join.
    pub dom_cache: bool,
    /// The session ends when its last agent leaves on purpose (R186).
    pub end_on_agent_leave: bool,
    /// The session ends this many minutes after its creation; `None`: never for its age.
    pub minutes_max: Option<u16>,
    /// How long a question to the visitor stays open, in seconds (R044).
    pub question_seconds: u16,
    /// What the visitor's page is told to hide (R154).
    pub masks: Masks,
    /// What agents' shares must show (R004).
    pub sites: Sites,
    /// What the visitor is asked, in which words. *Enforce* leaves them: what was agreed to does not change.
    pub questions: Box<Questions>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: 1,
            feature_level: 60,
            escalate_to_show: true,
            escalate_to_view: true,
            agent_surfaces: Surface::ALL.to_vec(),
            visitor_surfaces: Surface::ALL.to_vec(),
            allowed_modes: vec![Mode::ViewOnly, Mode::ViewPointer],
            default_mode: Mode::ViewPointer,
            agents_max: 8,
            dom_cache: true,
            end_on_agent_leave: false,
            minutes_max: None,
            question_seconds: CONSENT_SECONDS,
            masks: Masks::default(),
            sites: Sites::default(),
            questions: Box::default(),
        }
    }
}

impl Policy {
    /// What both allow, under the version of the ceiling: how *enforce* changes a running session and how a role narrows
    /// its group. Never more than `self`, whatever the ceiling says. The default mode becomes the least of what is left.
    #[must_use]
    pub fn narrowed_to(&self, ceiling: &Self) -> Self {
        let both = |mine: &[Surface], theirs: &[Surface]| -> Vec<Surface> {
            mine.iter().filter(|surface| theirs.contains(surface)).copied().collect()
        };
        let mut modes: Vec<Mode> =
            self.allowed_modes.iter().filter(|mode| ceiling.allowed_modes.contains(mode)).copied().collect();
        if modes.is_empty() {
            modes.push(Mode::ViewOnly);
        }
        let least = modes.iter().min().copied().unwrap_or(Mode::ViewOnly);
        let default_mode = if modes.contains(&self.default_mode) { self.default_mode } else { least };
        Self {
            version: ceiling.version,
            feature_level: self.feature_level.min(ceiling.feature_level),
            escalate_to_show: self.escalate_to_show && ceiling.escalate_to_show,
            escalate_to_view: self.escalate_to_view && ceiling.escalate_to_view,
            agent_surfaces: both(&self.agent_surfaces, &ceiling.agent_surfaces),
            visitor_surfaces: both(&self.visitor_surfaces, &ceiling.visitor_surfaces),
            allowed_modes: modes,
            default_mode,
            agents_max: self.agents_max.min(ceiling.agents_max),
            dom_cache: self.dom_cache && ceiling.dom_cache,
            end_on_agent_leave: self.end_on_agent_leave || ceiling.end_on_agent_leave,
            minutes_max: [self.minutes_max, ceiling.minutes_max].into_iter().flatten().min(),
            question_seconds: self.question_seconds.min(ceiling.question_seconds),
            masks: self.masks.united(&ceiling.masks),
            sites: self.sites.narrowed_to(&ceiling.sites),
            questions: self.questions.clone(),
        }
    }
}

/// Feature level × 10 that a group needs to share an agent's screen (R005).
pub const LEVEL_SHARE: u16 = 53;
/// Feature level × 10 that a group needs to invite the visitor's screen (R041).
pub const LEVEL_INVITE: u16 = 57;
/// Feature level × 10 that a group needs to share documents (R056).
pub const LEVEL_DOCUMENTS: u16 = 52;

/// What a frame needs beside its sender's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing further.
    None,
    /// The input lease, granted by the visitor.
    Lease,
}

/// One row of the permission table: may an agent send `kind` in each of the four modes?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub kind: Kind,
    /// View Only, View + Pointer, True Pointer, Full Control: the order of [`Mode::ALL`].
    pub modes: [bool; 4],
    pub capability: Capabilities,
    pub gate: Gate,
    /// The requirement that the row comes from.
    pub rule: &'static str,
}

/// What agents may send towards the visitor's page, by mode. Everything that is not in the table is refused.
pub const TABLE: [Row; 5] = [
    Row {
        kind: Kind::PointerMove,
        modes: [false, true, false, true],
        capability: Capabilities::POINTER,
        gate: Gate::None,
        rule: "R158",
    },
    Row {
        kind: Kind::PointerTrue,
        modes: [false, false, true, true],
        capability: Capabilities::POINTER,
        gate: Gate::None,
        rule: "R162",
    },
    Row {
        kind: Kind::Input,
        modes: [false, false, false, true],
        capability: Capabilities::CONTROL_REQUEST,
        gate: Gate::Lease,
        rule: "R159",
    },
    Row {
        kind: Kind::Navigate,
        modes: [false, false, false, true],
        capability: Capabilities::CONTROL_REQUEST,
        gate: Gate::Lease,
        rule: "R164",
    },
    Row {
        kind: Kind::Annotate,
        modes: [false, false, false, false],
        capability: Capabilities::ANNOTATE,
        gate: Gate::None,
        rule: "R177",
    },
];

impl Row {
    /// The row for a kind of frame, if agents may ever send it.
    pub fn of(kind: Kind) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.kind == kind)
    }

    pub const fn allows(&self, mode: Mode) -> bool {
        let [view_only, view_pointer, true_pointer, full_control] = self.modes;
        match mode {
            Mode::ViewOnly => view_only,
            Mode::ViewPointer => view_pointer,
            Mode::TruePointer => true_pointer,
            Mode::FullControl => full_control,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_can_both_watch_the_page_and_grant_control() {
        for role in Role::ALL {
            let ceiling = role.ceiling();
            assert!(
                !(ceiling.contains(Capabilities::SUB_DOM) && ceiling.contains(Capabilities::CONTROL_GRANT)),
                "{role:?}"
            );
        }
    }

    #[test]
    fn narrowing_never_widens_and_says_which_version_did_it() {
        // R152
        let wide = Policy { allowed_modes: Mode::ALL.to_vec(), default_mode: Mode::FullControl, ..Policy::default() };
        let tight = Policy {
            version: 7,
            escalate_to_show: false,
            agent_surfaces: vec![Surface::Window],
            allowed_modes: vec![Mode::ViewOnly, Mode::ViewPointer],
            agents_max: 2,
            ..Policy::default()
        };
        let narrowed = wide.narrowed_to(&tight);
        assert_eq!((narrowed.version, narrowed.escalate_to_show, narrowed.agents_max), (7, false, 2));
        assert_eq!(narrowed.agent_surfaces, [Surface::Window]);
        assert_eq!((narrowed.default_mode, narrowed.allowed_modes.len()), (Mode::ViewOnly, 2));
        let back = narrowed.narrowed_to(&wide);
        assert_eq!(Policy { version: 7, ..back }, narrowed, "a wider ceiling gives nothing back");
        let nothing = tight.narrowed_to(&Policy { allowed_modes: vec![Mode::FullControl], ..Policy::default() });
        assert_eq!(nothing.allowed_modes, [Mode::ViewOnly], "there is always a mode to be in");
        let lasting = |minutes_max| Policy { minutes_max, ..Policy::default() };
        for (own, ceiling) in [(None, Some(30)), (Some(30), None), (Some(30), Some(60)), (Some(60), Some(30))] {
            assert_eq!(lasting(own).narrowed_to(&lasting(ceiling)).minutes_max, Some(30));
        }
    }

    #[test]
    fn masks_only_grow_and_fail_closed() {
        // R154
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let own = Masks { mask: list(&[".a"]), unmask: list(&[".u", ".v"]), ..Masks::default() };
        let more = Masks { mask: list(&[".b", ".a"]), block: list(&["#x"]), unmask: list(&[".v"]), ..Masks::default() };
        let united = own.united(&more);
        assert_eq!((united.mask, united.block, united.unmask), (list(&[".a", ".b"]), list(&["#x"]), list(&[".v"])));
        let long = Masks { mask: vec!["x".repeat(MASK_BYTES_MAX)], ..Masks::default() };
        assert_eq!(own.united(&long), Masks { everything: true, ..Masks::default() });
        let json = serde_json::to_string(&more).expect("plain data");
        assert!(json.len() <= more.bytes(), "{} > {}", json.len(), more.bytes());
    }

    #[test]
    fn view_only_lets_nothing_through() {
        // R156
        assert!(TABLE.iter().all(|row| !row.allows(Mode::ViewOnly)));
    }

    #[test]
    fn names_and_bits_are_a_bijection() {
        for (name, capability) in Capabilities::NAMES {
            assert_eq!(Capabilities::named(name), Some(capability));
        }
        assert_eq!(Capabilities::named("root"), None);
    }
}
