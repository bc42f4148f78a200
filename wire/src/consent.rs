//! What the visitor is asked, in which words, and how it answered.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::signal::Ask;

/// What a consent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    /// The page (R116).
    View,
    /// The agent's screen, in a session that is for nothing else (R127).
    Show,
    /// The visitor's screen (R045).
    Screen,
    /// Full Control of the page (R165).
    Control,
    /// A document.
    Document,
    /// The visitor's camera: its own act, nobody asks for it.
    Camera,
}

impl Matter {
    pub const ALL: [Self; 6] = [Self::View, Self::Show, Self::Screen, Self::Control, Self::Document, Self::Camera];

    pub const fn label(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Show => "show",
            Self::Screen => "screen",
            Self::Control => "control",
            Self::Document => "document",
            Self::Camera => "camera",
        }
    }
}

impl From<Ask> for Matter {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::View => Self::View,
            Ask::Screen => Self::Screen,
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Accepted,
    Declined,
    TimedOut,
    /// The asker left, or may no longer ask.
    Withdrawn,
}

impl Answer {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::TimedOut => "timed_out",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The words of a question: plain text, one statement per line, and a link to terms.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Question {
    pub text: String,
    /// An `https` address (R082).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
}

impl Question {
    /// What is asked where a group has no words of its own. No client has others.
    pub fn standard(matter: Matter) -> Self {
        Self { text: standard(matter).to_owned(), terms: None }
    }

    /// Names these words, so that an answer can say which ones were shown: the SHA-256, in hex, of the text, a line feed
    /// and the address of the terms.
    pub fn words(&self) -> String {
        let whole = format!("{}\n{}", self.text, self.terms.as_deref().unwrap_or_default());
        hex::encode(digest(&SHA256, whole.as_bytes()))
    }
}

/// A receipt holds the hash of its text, and its file finds the text here: one that is changed must stay to be found.
const fn standard(matter: Matter) -> &'static str {
    match matter {
        Matter::View => {
            "They see this website as you see it, nothing else on your device.\n\
             What you type, passwords and card numbers stay hidden.\n\
             You can pause or end at any time."
        }
        Matter::Show => {
            "You see what they choose to show.\n\
             Nothing on your device is shown to them.\n\
             You can end at any time."
        }
        Matter::Screen => {
            "You choose what to share in the next step.\n\
             Hiding does not reach video: everything in what you share can be seen, including passwords and messages."
        }
        Matter::Control => {
            "They can click, type and open other pages of this website for you.\n\
             You can take control back at any time."
        }
        Matter::Document => {
            "They would like to show you a document, or to receive one from you.\n\
             Nothing is sent before you agree."
        }
        Matter::Camera => {
            "Whoever you let in sees it live.\n\
             Picture only; no sound is sent.\n\
             Nothing in the picture is hidden. You can hide the picture or stop at any time."
        }
    }
}

/// The words of each question of a session, as its pinned version says them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Questions {
    /// May this agent come in? In a session that is not for a page, it is about what the session is for.
    pub view: Question,
    pub show: Question,
    pub screen: Question,
    pub control: Question,
    pub document: Question,
    pub camera: Question,
}

impl Questions {
    /// The words that `of` gives to each matter.
    pub fn each(of: impl Fn(Matter) -> Question) -> Self {
        Self {
            view: of(Matter::View),
            show: of(Matter::Show),
            screen: of(Matter::Screen),
            control: of(Matter::Control),
            document: of(Matter::Document),
            camera: of(Matter::Camera),
        }
    }

    pub const fn about(&self, matter: Matter) -> &Question {
        match matter {
            Matter::View => &self.view,
            Matter::Show => &self.show,
            Matter::Screen => &self.screen,
            Matter::Control => &self.control,
            Matter::Document => &self.document,
            Matter::Camera => &self.camera,
        }
    }
}

impl Default for Questions {
    fn default() -> Self {
        Self::each(Question::standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_named_by_text_and_terms_together() {
        // R045 R082. The value is `printf 'May we look?\nhttps://shop.example/terms' | sha256sum`.
        let question = |text: &str, terms: Option<&str>| Question { text: text.into(), terms: terms.map(Into::into) };
        let shown = question("May we look?", Some("https://shop.example/terms"));
        assert_eq!(shown.words(), "851b7b4e663cff5a0ea2485abcc0db81faf616daee0473cc9562a85ebf6285e4");
        for other in [question("May we look?", None), question("May we look!", Some("https://shop.example/terms"))] {
            assert_ne!(other.words(), shown.words());
        }
    }

    #[test]
    fn there_are_words_for_everything() {
        for matter in Matter::ALL {
            let question = Questions::default().about(matter).clone();
            assert!(question == Question::standard(matter) && !question.text.is_empty(), "{}", matter.label());
        }
    }
}
