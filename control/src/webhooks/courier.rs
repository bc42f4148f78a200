//! Delivers what is queued: a few messages at a time, a few per webhook, retried with growing pauses, put aside at last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanlight_wire::GroupId;
use fanlight_wire::limits::{
    WEBHOOK_ATTEMPTS_MAX, WEBHOOK_LOOK, WEBHOOK_RETRY_FACTOR, WEBHOOK_RETRY_FIRST, WEBHOOK_RETRY_MAX,
    WEBHOOKS_UNDER_WAY_MAX,
};
use hyper::StatusCode;
use tokio::task::JoinHandle;

use crate::control::Control;
use crate::locked;
use crate::metrics::Delivery;
use crate::secrets::random;
use crate::store::webhooks::{self as kept, Due, Outcome, Webhook};
use crate::webhooks::Message;
use crate::webhooks::sign::headers;

/// How one try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) status: Option<StatusCode>,
    /// For a person; nothing that the receiver said.
    pub(crate) sentence: String,
    pub(crate) took: Duration,
    /// Another try would end in the same way.
    last: bool,
}

impl Tried {
    pub(crate) fn is_delivered(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }
}

impl Control {
    /// Delivers webhooks for as long as the node runs.
    pub async fn deliver(self: Arc<Self>) {
        loop {
            let begun = self.deliver_due().await;
            if begun.is_empty() {
                // Nobody may have told of what becomes due by itself.
                drop(tokio::time::timeout(WEBHOOK_LOOK, self.webhooks().news.notified()).await);
            }
        }
    }

    /// Begins to deliver what is due now and is not under way.
    pub async fn deliver_due(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let now = self.clock().unix_seconds();
        // A store that is away is asked again at the next look.
        let Ok((waiting, due)) = self.store().ask(move |connection| kept::due(connection, now)).await else {
            return Vec::new();
        };
        self.metrics().webhook_queue(waiting);
        let mut begun = Vec::new();
        for message in due {
            let mut under_way = locked(&self.webhooks().under_way);
            if under_way.len() < WEBHOOKS_UNDER_WAY_MAX && !under_way.contains_key(&message.row) {
                under_way.insert(message.row, message.webhook.id.clone());
                begun.push(tokio::spawn(deliver(Arc::clone(self), message)));
            }
        }
        begun
    }

    /// One try at delivering a message.
    async fn try_webhook(&self, webhook: &Webhook, id: &str, body: &str) -> Tried {
        let now = self.clock().unix_seconds();
        let began: Instant = self.clock().now();
        let signer = &self.webhooks().signer;
        let keys: Vec<_> =
            webhook.good_generations(now).map(|generation| signer.key(&webhook.id, generation)).collect();
        let headers = headers(&keys, id, now, body);
        let posted = match self.fetcher().target(&webhook.url) {
            Ok(target) => self.fetcher().post(&target, headers, Bytes::copy_from_slice(body.as_bytes())).await,
            Err(error) => Err(error),
        };
        let took = self.clock().now().saturating_duration_since(began);
        match posted {
            Ok(status) => {
                let sentence = match status {
                    status if status.is_success() => "Delivered.".to_owned(),
                    status if status.is_redirection() => {
                        format!("The host answered {}; redirects are not followed.", status.as_u16())
                    }
                    status => format!("The host answered {}.", status.as_u16()),
                };
                Tried { status: Some(status), sentence, took, last: false }
            }
            Err(error) => Tried { status: None, sentence: error.to_string(), took, last: error.is_final() },
        }
    }

    /// Sends a test message now, past the queue.
    pub(crate) async fn test_webhook(&self, group: &GroupId, webhook: &Webhook) -> Tried {
        let message = Message::test(group, self.clock().unix_seconds());
        self.try_webhook(webhook, &message.queued.id, &message.queued.body).await
    }
}

async fn deliver(control: Arc<Control>, message: Due) {
    let tried = control.try_webhook(&message.webhook, &message.id, &control.leaving(&message).await).await;
    let attempts = message.attempts.saturating_add(1);
    let now = control.clock().unix_seconds();
    let (delivery, outcome) = match &tried {
        tried if tried.is_delivered() => (Delivery::Delivered, Outcome::Delivered),
        tried if tried.last || attempts >= WEBHOOK_ATTEMPTS_MAX => (Delivery::Dead, Outcome::Dead),
        _ => (Delivery::Failed, Outcome::Again { due: now.saturating_add(pause(attempts).as_secs()) }),
    };
    control.metrics().webhook(delivery);
    let row = message.row;
    let recorded = control.store().ask(move |connection| {
        kept::record(connection, &message, &kept::Attempt { attempts, at: now, sentence: tried.sentence, outcome })
    });
    if recorded.await.is_err() {
        // It will be delivered once more, under the same id; not at once, because a full disk stays full for a while.
        tracing::warn!("the store did not take what became of a webhook's message");
        tokio::time::sleep(WEBHOOK_RETRY_FIRST).await;
    }
    locked(&control.webhooks().under_way).remove(&row);
    control.webhooks().news.notify_one();
}

/// The pause after so many tries, growing, with up to a quarter more by chance so that receivers that come back are not
/// met by everybody at once.
fn pause(attempts: u32) -> Duration {
    let grown = WEBHOOK_RETRY_FIRST.saturating_mul(WEBHOOK_RETRY_FACTOR.saturating_pow(attempts.saturating_sub(1)));
    let most = grown.min(WEBHOOK_RETRY_MAX);
    most + most.mul_f64(f64::from(u16::from_be_bytes(random())) / f64::from(u16::MAX) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_spread() {
        let mut before = Duration::ZERO;
        for attempts in 1..WEBHOOK_ATTEMPTS_MAX {
            let least =
                WEBHOOK_RETRY_FIRST.saturating_mul(WEBHOOK_RETRY_FACTOR.pow(attempts - 1)).min(WEBHOOK_RETRY_MAX);
            for _ in 0..20 {
                let pause = pause(attempts);
                assert!((least..=least.mul_f64(1.25)).contains(&pause), "{attempts}: {pause:?}");
            }
            assert!(least >= before);
            before = least;
        }
        assert!(pause(u32::MAX) <= WEBHOOK_RETRY_MAX.mul_f64(1.25), "no overflow");
    }
}
