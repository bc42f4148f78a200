//! What must be true of every slot in every world: never two holders, epochs that grow, requests answered once, and no
//! packet of an old share after the first of a new one (R014, R015, P17).

use std::collections::BTreeMap;

use fanlight_loadtest::media::Watch;
use fanlight_wire::ParticipantId;
use fanlight_wire::signal::{SharePhase, ShareState, Slot};

/// What the participants together have been told of both floors.
#[derive(Debug, Default)]
pub struct Floors {
    holders: BTreeMap<(Slot, u32), ParticipantId>,
    /// Number of a share that was granted → slot and floor epoch.
    granted: BTreeMap<u32, (Slot, u32)>,
    /// Who sends what.
    owners: BTreeMap<u32, (Slot, ParticipantId)>,
    asked: u64,
    answered: u64,
    takeovers: u64,
}

impl Floors {
    /// Somebody was told about a slot.
    ///
    /// # Panics
    /// When two participants are told of different holders in one epoch.
    pub fn note_state(&mut self, share: &ShareState) {
        let Some(holder) = share.holder else {
            assert_eq!(share.phase, SharePhase::Empty, "a share without holder");
            return;
        };
        let before = *self.holders.entry((share.slot, share.epoch.value())).or_insert(holder);
        assert_eq!(before, holder, "two holders of {:?} in epoch {:?}", share.slot, share.epoch);
    }

    /// A share of this number is sent from now on.
    pub(crate) fn note_sender(&mut self, share: u32, slot: Slot, owner: ParticipantId) {
        self.owners.insert(share, (slot, owner));
    }

    pub(crate) const fn note_request(&mut self) {
        self.asked += 1;
    }

    /// The answer to a request was lost with its carrier; it is not waited for.
    pub(crate) const fn forget_requests(&mut self, count: u64) {
        self.asked -= count;
    }

    /// A request was granted.
    ///
    /// # Panics
    /// When one epoch is granted twice.
    pub(crate) fn note_grant(&mut self, share: u32, slot: Slot, epoch: u32) {
        self.answered += 1;
        let twice = self.granted.values().any(|granted| *granted == (slot, epoch));
        assert!(!twice, "epoch {epoch} of {slot:?} was granted twice");
        self.granted.insert(share, (slot, epoch));
    }

    pub(crate) const fn note_denial(&mut self) {
        self.answered += 1;
    }

    pub(crate) const fn note_takeover(&mut self) {
        self.takeovers += 1;
    }

    pub const fn takeovers(&self) -> u64 {
        self.takeovers
    }

    /// Requests that were granted.
    pub fn grants(&self) -> usize {
        self.granted.len()
    }

    pub fn is_granted(&self, share: u32) -> bool {
        self.granted.contains_key(&share)
    }

    /// Is every request answered? Ask when nothing is under way.
    ///
    /// # Panics
    /// When one is not, or one was answered twice.
    pub fn check_answers(&self) {
        assert_eq!(self.asked, self.answered, "requests and answers");
    }

    /// What a subscriber received: only from holders, each in its epochs, never anything of an earlier holder after the
    /// first packet of a later one: in the numbering always, in time when the path keeps the order (`in_order`).
    ///
    /// # Panics
    /// When it received anything else.
    pub fn check_watch(&self, who: &str, watch: &Watch, in_order: bool) {
        if let Err(wrong) = self.follow(watch.runs().map(|run| run.share)) {
            panic!("{who}: numbered {wrong}");
        }
        if in_order && let Err(wrong) = self.follow(watch.arrivals().iter().copied()) {
            panic!("{who}: arrived {wrong}");
        }
        assert_eq!(watch.foreign(), 0, "{who}: packets that nobody sent");
        assert_eq!(watch.backwards(), 0, "{who}: RTP time went back");
    }

    /// Can these shares have been forwarded in this order by a relay that knows one holder per epoch?
    fn follow(&self, shares: impl Iterator<Item = u32>) -> Result<(), String> {
        let (mut epoch, mut before) = (0, Vec::new());
        for share in shares {
            let Some((slot, owner)) = self.owners.get(&share) else { return Err(format!("{share} of nobody")) };
            let granted = self.granted.get(&share).map_or(0, |(_, epoch)| *epoch);
            let from = epoch.max(granted);
            let mut held = self.holders.range((*slot, from)..).filter(|((at, _), _)| at == slot);
            let Some(((_, found), _)) = held.find(|(_, holder)| *holder == owner) else {
                let recent = &before[before.len().saturating_sub(5)..];
                return Err(format!("{share} of {owner}, who holds nothing since epoch {from}; before it {recent:?}"));
            };
            epoch = *found;
            before.push(share);
        }
        Ok(())
    }
}
