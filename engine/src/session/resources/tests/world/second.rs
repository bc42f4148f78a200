//! The second shard: who watches there, what both shards say to each other, and how that goes wrong.

use fanlight_wire::report::ShardTotals;
use fanlight_wire::resource::ViewPermit;

use super::*;

const UPSTREAM: Rights = role(Role::Upstream, Role::Upstream.ceiling());

impl World {
    /// A viewer whom the second shard serves.
    pub(in crate::session::resources::tests) fn watches_second(
        &mut self,
        subject: &str,
        source: Option<MediaSource>,
    ) -> Result<Made, Refusal> {
        self.watches_second_with(subject, UPSTREAM, source)
    }

    pub(in crate::session::resources::tests) fn watches_second_with(
        &mut self,
        subject: &str,
        rights: Rights,
        source: Option<MediaSource>,
    ) -> Result<Made, Refusal> {
        let permit = self.permitted(Self::admission(subject, rights), source)?;
        let made = self.enters(Self::admission(subject, rights), permit)?;
        self.connect(made.client);
        Ok(made)
    }

    /// Says something to all of a session's shards, as control does.
    pub(in crate::session::resources::tests) fn command_both(&mut self, command: &Command) {
        self.engine.handle_command(self.now, command.clone());
        self.second.handle_command(self.now, command.clone());
        self.settle();
    }

    /// What the home says of a viewer for the second shard.
    pub(in crate::session::resources::tests) fn permit(
        &mut self,
        subject: &str,
        source: Option<MediaSource>,
    ) -> Result<ViewPermit, Refusal> {
        self.permitted(Self::admission(subject, UPSTREAM), source)
    }

    fn permitted(&mut self, admission: Admission, source: Option<MediaSource>) -> Result<ViewPermit, Refusal> {
        let input = ResourceInput::Permit { admission, source };
        match self.engine.handle_resource(self.now, input)? {
            ResourceOutput::Permitted(permit) => Ok(permit),
            other => panic!("{other:?}"),
        }
    }

    /// Shows a permit to the second shard; the media has yet to connect.
    pub(in crate::session::resources::tests) fn enters_second(
        &mut self,
        subject: &str,
        permit: ViewPermit,
    ) -> Result<Made, Refusal> {
        self.enters(Self::admission(subject, UPSTREAM), permit)
    }

    fn enters(&mut self, admission: Admission, permit: ViewPermit) -> Result<Made, Refusal> {
        let index = self.clients.len();
        let address = SocketAddr::from(([10, 0, 1, index as u8], 5_000));
        let mut client = Client::new(address, self.now, Speaks::Everything);
        let (sdp, subject) = (client.offer_to_watch(), admission.subject.clone());
        let answer = self.second.handle_resource(self.now, ResourceInput::Mirror { permit, admission, sdp });
        self.settle();
        match answer? {
            ResourceOutput::Created { resource, tag, sdp } => {
                assert_eq!(resource.shard(), ShardId(1), "it can be found again");
                client.answer(&sdp);
                self.clients.push(client);
                Ok(Made { client: index, resource, tag, subject, answer: sdp })
            }
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::session::resources::tests) fn leaves_second(&mut self, made: &Made) {
        let input = ResourceInput::Delete { of: named(made, ResourceKind::Whep) };
        self.second.handle_resource(self.now, input).expect("it is there");
        self.settle();
    }

    /// One of both shards has lost everything it knew.
    pub(in crate::session::resources::tests) fn begin_anew(&mut self, shard: u8) {
        let fresh = born(shard, &self.certificate, self.now);
        *(if shard == 0 { &mut self.engine } else { &mut self.second }) = fresh;
        self.settle();
    }

    /// What both shards have counted.
    pub(in crate::session::resources::tests) fn both(&mut self) -> [ShardTotals; 2] {
        [self.engine.totals().clone(), self.second.totals().clone()]
    }

    /// Everything on its way arrives.
    pub(in crate::session::resources::tests) fn let_go(&mut self) {
        self.hold = false;
        for word in std::mem::take(&mut self.held) {
            self.second.handle_handoff(self.now, &word);
        }
        self.settle();
    }

    /// A client tells the relay that it lost a picture.
    pub(in crate::session::resources::tests) fn loses_a_picture(&mut self, client: usize) {
        self.clients[client].request_keyframe();
        self.settle();
    }

    /// When a publisher was asked for a keyframe.
    pub(in crate::session::resources::tests) fn asked_for_keyframes(&self, client: usize) -> &[Instant] {
        &self.clients[client].keyframe_requests
    }

    fn admission(subject: &str, Rights { role, capabilities }: Rights) -> Admission {
        let (name, subject) = ("Wall".to_owned(), subject.to_owned());
        Admission { session: SESSION, role, capabilities, name, subject, epoch: 1 }
    }

    /// Carries what shards say to each other; false when they say nothing.
    pub(super) fn shards_say(&mut self) -> bool {
        let mut any = false;
        while let Some((to, word)) = self.engine.poll_handoff() {
            any = true;
            if self.lose > 0 {
                self.lose -= 1;
                self.engine.handoff_lost(self.now, to, &word);
            } else if self.hold {
                self.held.push_back(word);
            } else {
                self.second.handle_handoff(self.now, &word);
            }
        }
        while let Some((_, word)) = self.second.poll_handoff() {
            any = true;
            self.engine.handle_handoff(self.now, &word);
        }
        any
    }
}
