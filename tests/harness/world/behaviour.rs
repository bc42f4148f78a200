//! How participants take what arrives: the seat judges it, the oracles note it, then they react.

use fanlight_engine::{PipeInput, PipeOutput};
use fanlight_loadtest::page::Page;
use fanlight_loadtest::seat::Received;
use fanlight_wire::policy::Role;
use fanlight_wire::signal::{SharePhase, Stage, ToClient, ToRelay};
use fanlight_wire::{Code, Frame, Kind, PipeId};

use super::{Who, World};

impl World {
    pub(super) fn deliver(&mut self, who: Who, pipe: PipeId, output: PipeOutput) {
        let actor = &mut self.actors[who.0];
        if actor.pipe != Some(pipe) {
            return;
        }
        if actor.stuck {
            actor.waiting.push_back(output);
            return;
        }
        match output {
            PipeOutput::Frame(frame) => {
                self.fly_up(pipe, PipeInput::Credit(frame.bytes().len()));
                self.take(who, &frame);
            }
            PipeOutput::Close(code) => {
                actor.closed.push(code.close_code());
                self.cut_silently(who);
            }
        }
    }

    /// A frame arrives at a participant: the seat judges it, then the participant reacts.
    fn take(&mut self, who: Who, frame: &Frame) {
        let received = match self.actors[who.0].seat.handle_frame(frame) {
            Ok(received) => received,
            Err(wrong) => panic!("seed {}, {}: {wrong}", self.seed, self.actors[who.0].name),
        };
        match received {
            Received::Signal(signal) => {
                self.judge(who, &signal);
                self.react(who, &signal);
            }
            Received::Other(frame) if frame.header().kind == Kind::PointerMove => {
                self.actors[who.0].pointers_seen += 1;
            }
            Received::Page(_) | Received::Other(_) => {}
        }
    }

    fn judge(&mut self, who: Who, signal: &ToClient) {
        let me = self.actors[who.0].seat.id();
        match signal {
            ToClient::Share(share) => {
                self.floors.note_state(share);
                let mine = share.holder == Some(me);
                let waiting = matches!(share.phase, SharePhase::Held | SharePhase::Waiting);
                if mine
                    && waiting
                    && let Some(number) = self.actors[who.0].asked.pop_front()
                {
                    self.floors.note_grant(number, share.slot, share.epoch.value());
                }
            }
            ToClient::Welcome { shares, .. } => shares.iter().for_each(|share| self.floors.note_state(share)),
            ToClient::ShareTakenOver { .. } => self.floors.note_takeover(),
            ToClient::Denied { re, refusal, .. }
                if re == "share.start"
                    && refusal.code != Code::Timeout
                    && self.actors[who.0].asked.pop_front().is_some() =>
            {
                self.floors.note_denial();
            }
            _ => {}
        }
    }

    fn react(&mut self, who: Who, signal: &ToClient) {
        let now = self.now;
        match signal {
            ToClient::ConsentAsk { ask, words, .. } if self.actors[who.0].agrees => {
                self.actors[who.0].seat.asks.clear();
                self.tell(who, &ToRelay::Consent { ask: *ask, accept: true, words: Some(words.clone()) });
            }
            ToClient::ShareInvited { grant, words, .. } if self.actors[who.0].agrees => {
                self.actors[who.0].seat.grants.clear();
                self.tell(who, &ToRelay::ShareAccept { grant: *grant, words: Some(words.clone()) });
                if self.actors[who.0].has_media() {
                    self.share(who, Some(*grant));
                }
            }
            ToClient::SnapshotWanted { .. } => self.photograph(who),
            // A page that was just loaded shows itself without being asked.
            ToClient::Welcome { resumed: true, role: Role::Visitor, stage: Stage::Active, .. }
                if self.actors[who.0].page.is_none() =>
            {
                self.photograph(who);
            }
            ToClient::Answer { sdp } => {
                let answered = self.actors[who.0].peer().answer(now, sdp);
                assert!(answered.is_ok(), "seed {}: {answered:?}", self.seed);
            }
            ToClient::ShareTakenOver { .. } if self.actors[who.0].honest => self.actors[who.0].peer().stop(),
            _ => {}
        }
    }

    /// The visitor's page is photographed for the relay.
    fn photograph(&mut self, who: Who) {
        let (seed, at) = (self.seed, self.now_us());
        let actor = &mut self.actors[who.0];
        let place = actor.seat.place().expect("welcomed before asked");
        let (newest, mask, bytes) = (place.page_epoch, place.mask_epoch, actor.snapshot_bytes);
        actor.snapshots_taken += 1;
        let page = actor.page.get_or_insert_with(|| Page::new(seed, newest, mask, bytes));
        let frames = page.snapshot(at);
        self.send(who, frames);
    }
}
