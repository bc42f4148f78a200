//! What the visitor is asked, in which words, and how it answered.

use serde::{Deserialize, Serialize};

use crate::signal::Ask;

/// What a consent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    /// The page (R116).
    View,
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
    pub const fn label(self) -> &'static str {
        match self {
            Self::View => "view",
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

/// The words of each question of a session, as its pinned version says them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Questions {
    pub view: Question,
    pub screen: Question,
    pub control: Question,
    pub document: Question,
}

impl Questions {
    /// What is asked where a group has no words of its own.
    pub const fn standard(matter: Matter) -> &'static str {
        match matter {
            Matter::View => {
                "They see this website as you see it, nothing else on your device.\n\
                 What you type, passwords and card numbers stay hidden.\n\
                 You can pause or end at any time."
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
            Matter::Camera => "",
        }
    }

    /// The question about a matter; none where nobody asks.
    pub const fn about(&self, matter: Matter) -> Option<&Question> {
        match matter {
            Matter::View => Some(&self.view),
            Matter::Screen => Some(&self.screen),
            Matter::Control => Some(&self.control),
            Matter::Document => Some(&self.document),
            Matter::Camera => None,
        }
    }
}

impl Default for Questions {
    fn default() -> Self {
        let plain = |matter| Question { text: Self::standard(matter).to_owned(), terms: None };
        Self {
            view: plain(Matter::View),
            screen: plain(Matter::Screen),
            control: plain(Matter::Control),
            document: plain(Matter::Document),
        }
    }
}
