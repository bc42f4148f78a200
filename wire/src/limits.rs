//! A limit on everything, in one place, each with its unit and its reason. Relations between limits are checked at
//! compile time at the end of the file.

use std::time::Duration;

// ---- frames -------------------------------------------------------------------------------------------------------

/// Bytes of a whole frame, header included. Small enough that a snapshot in flight never delays a signal by more than
/// one frame, large enough that the header is 0.2 % of it.
pub const FRAME_BYTES_MAX: usize = 16_384;
/// Bytes of the fixed frame header.
pub const HEADER_BYTES: usize = 28;
/// Bytes of a frame's payload.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES;
/// Bytes of a message that is spread over frames (a snapshot, an asset). Larger pages must block or lazy-load content.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Frames of one message.
pub const MESSAGE_CHUNKS_MAX: usize = MESSAGE_BYTES_MAX.div_ceil(PAYLOAD_BYTES_MAX);
/// Time for all chunks of a message to arrive; a slower sender has stalled or is an attack.
pub const MESSAGE_ASSEMBLY_MAX: Duration = Duration::from_secs(30);
/// Bytes of one signal's JSON. An SDP offer with five codecs is about 6 KiB.
pub const SIGNAL_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;
/// Bytes of one pointer frame's payload.
pub const POINTER_BYTES_MAX: usize = 256;

// ---- snapshot cache -----------------------------------------------------------------------------------------------

/// Compressed bytes of a session's newest snapshot.
pub const SNAPSHOT_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Bytes of diffs kept after a snapshot; beyond, the page must be photographed again.
pub const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Frames of diffs kept after a snapshot.
pub const LOG_FRAMES_MAX: usize = 20_000;
/// Bytes of images, fonts and styles kept beside a session's snapshot; the oldest leave first.
pub const ASSET_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Assets kept beside a session's snapshot.
pub const ASSET_COUNT_MAX: usize = 512;
/// Assets named in a `welcome`, which is one frame and has other things to say; the others are sent once more.
pub const ASSET_NAMES_MAX: usize = 256;
/// A snapshot blocks the visitor's page, so it is asked for at most this often per session.
pub const SNAPSHOT_REQUEST_INTERVAL: Duration = Duration::from_secs(5);
/// A joining agent is served from snapshot + log; the log may be this many times the snapshot before a new one is
/// asked for.
pub const LOG_TO_SNAPSHOT_RATIO: usize = 2;

// ---- agents that fall behind --------------------------------------------------------------------------------------

/// Bytes behind the head at which an agent is called lagging.
pub const LAG_BYTES: usize = 256 * 1024;
/// Time behind the head at which an agent is called lagging.
pub const LAG_TIME: Duration = Duration::from_secs(1);
/// Bytes behind the head at which the cursor is given up and the agent gets snapshot + log.
pub const RESYNC_BYTES: usize = 1024 * 1024;
/// Time behind the head at which the cursor is given up.
pub const RESYNC_TIME: Duration = Duration::from_secs(5);
/// Resyncs within [`DEGRADE_WINDOW`] after which an agent gets snapshots only.
pub const DEGRADE_RESYNCS: usize = 3;
pub const DEGRADE_WINDOW: Duration = Duration::from_secs(60);
/// How often a degraded agent gets a snapshot.
pub const DEGRADED_SNAPSHOT_INTERVAL: Duration = Duration::from_secs(10);
/// A degraded agent that takes nothing for this long is closed; its resume token stays good.
pub const DEGRADED_PATIENCE: Duration = Duration::from_secs(60);

// ---- pipes --------------------------------------------------------------------------------------------------------

/// Bytes that may be on their way in one carrier before the engine holds back DOM frames (they stay in the ring).
pub const PIPE_WINDOW_BYTES: usize = 128 * 1024;
/// Bytes beyond the window kept free for signals and input, so that a full pipe still carries a decision.
pub const PIPE_RESERVE_BYTES: usize = 64 * 1024;
/// Signals queued for one pipe. A participant who lets this fill has been gone for a long time.
pub const PIPE_SIGNALS_MAX: usize = 256;
/// Time from the opening of a carrier to its first frame (`hello`).
pub const HELLO_MAX: Duration = Duration::from_secs(5);
/// A WebSocket is asked for a sign of life this often, and given up after [`PIPE_DEAD`].
pub const PIPE_PING_INTERVAL: Duration = Duration::from_secs(15);
pub const PIPE_DEAD: Duration = Duration::from_secs(45);

// ---- rates per participant ----------------------------------------------------------------------------------------

/// Signals per second, and how many may come at once.
pub const SIGNALS_PER_SECOND: u32 = 20;
pub const SIGNALS_BURST: u32 = 60;
/// Pointer frames per second (a display's refresh), and how many may come at once.
pub const POINTERS_PER_SECOND: u32 = 60;
pub const POINTERS_BURST: u32 = 120;
/// Input frames per second.
pub const INPUTS_PER_SECOND: u32 = 100;
pub const INPUTS_BURST: u32 = 200;
/// DOM bytes per second from a visitor, averaged; a burst may be a whole snapshot with its assets.
pub const DOM_BYTES_PER_SECOND: u32 = 4 * 1024 * 1024;
pub const DOM_BYTES_BURST: u32 = 32 * 1024 * 1024;

// ---- sessions -----------------------------------------------------------------------------------------------------

/// Agents and guests in one session on its home shard, unless policy says less.
pub const AGENTS_MAX: usize = 64;
/// Participants over a session's life, because a [`crate::ParticipantId`] is one byte and never reused.
pub const PARTICIPANTS_LIFETIME_MAX: usize = 250;
/// So many of these places are kept for people: a tool that publishes again and again must not close a session to them.
pub const PARTICIPANTS_RESERVED: usize = 100;
/// Sessions on one shard.
pub const SESSIONS_PER_SHARD_MAX: usize = 10_000;
/// A visitor whose carrier is gone may come back for this long (a page load, a tunnel).
pub const VISITOR_GRACE: Duration = Duration::from_secs(120);
/// An agent whose carrier is gone may come back for this long.
pub const AGENT_GRACE: Duration = Duration::from_secs(180);
/// A session that nobody ever joined ends after this long.
pub const NEVER_JOINED_MAX: Duration = Duration::from_secs(600);
/// A session that ends for its age is announced this long before, so that people can say goodbye.
pub const SESSION_WARNING: Duration = Duration::from_secs(60);
/// A question to the visitor (consent, invitation) is withdrawn after this many seconds, unless the group says
/// otherwise, and at least and at most.
pub const CONSENT_SECONDS: u16 = 60;
pub const CONSENT_MAX: Duration = Duration::from_secs(CONSENT_SECONDS as u64);
pub const CONSENT_SECONDS_MIN: u16 = 3;
pub const CONSENT_SECONDS_MAX: u16 = 600;
/// A "no" is remembered for this long so that an agent cannot nag.
pub const DENIAL_REMEMBERED: Duration = Duration::from_secs(60);
/// Characters of a display name.
pub const NAME_CHARS_MAX: usize = 80;

// ---- media --------------------------------------------------------------------------------------------------------

/// A slot whose new holder shows no keyframe for this long becomes empty.
pub const SHARE_START_MAX: Duration = Duration::from_secs(3);
/// While allowed sites are on, a share about whose content nothing was said for this long is cut: two statements
/// ([`STATEMENT_INTERVAL`]) may be late together.
pub const STATEMENT_MAX: Duration = Duration::from_millis(1_500);
/// How often a viewer says what its share shows.
pub const STATEMENT_INTERVAL: Duration = Duration::from_millis(500);
/// At most one keyframe request per source in this time, however many subscribers wish for one.
pub const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);
/// Requests without an answering keyframe after which a source is asked only once per [`KEYFRAME_SLOW_INTERVAL`].
pub const KEYFRAME_REQUESTS_MAX: u32 = 20;
pub const KEYFRAME_SLOW_INTERVAL: Duration = Duration::from_secs(2);
/// Received SSRCs per transport (JVB caps 50); only signalled ones count.
pub const SSRC_MAX: usize = 32;
/// Sources of one transport that gave way to newer ones, where the offer leaves them open. They are remembered because they
/// may never be believed again; a client that makes more has to connect anew. One encoder per minute lasts for hours.
pub const SSRC_RETIRED_MAX: usize = 256;
/// Packets of one RTCP compound that are looked at; a browser sends a handful.
pub const RTCP_ITEMS_MAX: usize = 32;
/// Packets that one transport-wide feedback may speak of: two seconds at 8 Mbit/s. Four bytes could claim 16 382, and
/// whoever speaks of packets makes us look at each; the senders' history holds fewer.
pub const FEEDBACK_PACKETS_MAX: usize = 2_048;
/// Packets of a publisher about which feedback can be given: 50 ms at 20 000 packets/s.
pub const FEEDBACK_WINDOW_PACKETS: usize = 1_024;
/// Packets of one source missing at once; beyond, a keyframe is cheaper than all the retransmissions.
pub const MISSING_PACKETS_MAX: usize = 256;
/// How often and how long a missing packet is asked for; what comes later is of no use to a live picture.
pub const REPAIR_TRIES_MAX: u8 = 10;
pub const REPAIR_MAX: Duration = Duration::from_secs(1);
/// What is kept of one encoding for repairs and newcomers: this long, this many packets, this many bytes (a screen of
/// 8 Mbit/s).
pub const RING_AGE_MAX: Duration = Duration::from_secs(2);
pub const RING_PACKETS_MAX: usize = 1_024;
pub const RING_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What is kept once the last keyframe is too far back to be replayed: a few round trips for repairs.
pub const RING_REPAIR_AGE: Duration = Duration::from_millis(500);
/// A newcomer is served from the ring when it holds no more packets than this since the keyframe; replaying more would
/// cost more than a fresh keyframe.
pub const REPLAY_PACKETS_MAX: usize = 400;
/// A source that jumps further has begun anew: a receiver would misjudge SRTP's rollover count (RFC 3711 §3.3.1).
pub const SOURCE_JUMP_MAX: u64 = 8_192;
/// What of it is kept for newcomers only, per subscriber that is there: a session of two is not worth the two seconds (its
/// next newcomer costs the publisher one keyframe), and an audience of thirty has all of [`RING_BYTES_MAX`].
pub const REPLAY_BYTES_PER_SUBSCRIBER: usize = 64 * 1024;
/// Subscribers that are served before the host sends and looks at what came in meanwhile.
pub const SLICE_SUBSCRIBERS: usize = 64;
/// Packets of one subscription that can be sent again.
pub const HISTORY_PACKETS: usize = 512;
/// Repairs may be at most this share of what a subscriber is sent, in percent: a keyframe on a lossy path needs much,
/// and whoever asks for everything twice must not double our output.
pub const REPAIR_PERCENT_MAX: u64 = 40;
/// How often senders and receivers report (RFC 3550 §6.2 allows less than five seconds; browsers use one).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Media sections in an offer.
pub const MEDIA_SECTIONS_MAX: usize = 8;
/// DTLS datagrams of all peers that wait on a shard for a moment without media; more are sent again by their clients.
pub const HANDSHAKES_WAITING_MAX: usize = 1_024;
/// Time for ICE and DTLS to complete.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Media to a peer stops this long after its last valid connectivity check (RFC 7675 §5.1 allows 30 s).
pub const ICE_CONSENT_MAX: Duration = Duration::from_secs(15);
/// ICE credentials of one peer that are good at a time: those before a restart stay good while it is under way.
pub const ICE_NAMES_MAX: usize = 4;
/// Addresses remembered per peer as validated by ICE.
pub const VALIDATED_ADDRESSES_MAX: usize = 8;
/// Largest datagram taken in or sent out.
pub const DATAGRAM_BYTES_MAX: usize = 1_500;
/// DTLS bytes per second accepted from a peer's validated address before its handshake is complete.
pub const DTLS_BYTES_PER_SECOND: u32 = 64 * 1024;
/// Datagrams and bytes per second that one peer may send us, of whatever kind: several times what any camera or screen
/// takes (200 Mbit/s), far less than a shard can take in.
pub const PEER_PACKETS_PER_SECOND: u32 = 20_000;
pub const PEER_BYTES_PER_SECOND: u32 = 25_000_000;
/// Transport-wide feedback of one RTCP compound that is looked at; a browser sends one.
pub const FEEDBACK_ITEMS_MAX: usize = 4;

// ---- media resources (WHIP, WHEP) ---------------------------------------------------------------------------------

/// WHEP viewers of one session on one shard. They hold no place among its participants.
pub const VIEWERS_PER_SESSION_MAX: usize = 2_000;
/// WHIP publishers of one session at a time: one that is seen, its successors, and some that are slow to go.
pub const PUBLISHERS_PER_SESSION_MAX: usize = 8;
/// A connected WHIP publisher has this long to send its first keyframe. Longer than [`SHARE_START_MAX`], because
/// a tool connects first and starts its source afterwards; it holds the slot meanwhile and loses it to whoever asks.
pub const PUBLISH_START_MAX: Duration = Duration::from_secs(60);
/// A resource whose media has been cut off this long is gone.
pub const RESOURCE_GRACE: Duration = Duration::from_secs(15);
/// How long a request about a resource waits for its shard, which answers within a turn unless it is overloaded.
pub const RESOURCE_ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a session without participants and resources may be kept at most.
pub const SESSION_KEPT_MAX: Duration = Duration::from_secs(24 * 3_600);

// ---- mirrors ------------------------------------------------------------------------------------------------------

/// WHEP viewers on a shard from which on further ones go to another, unless the configuration says otherwise: about half
/// of what one core can send of a screen at 285 packets a second.
pub const VIEWERS_PER_SHARD: u32 = 1_000;
/// Load of a session's home, in thousandths, from which on its viewers go to a shard that is less busy. Well below
/// [`SHARD_LOAD_MAX`]: publishers and agents cannot go elsewhere.
pub const SHARD_SPILL_LOAD: u32 = 500;
/// Mirrors that one shard holds; each costs a second copy of its session's rings.
pub const MIRRORS_PER_SHARD_MAX: usize = 1_024;
/// How often a mirror greets a home that has not answered yet, and one that has. Whatever was lost on the way between
/// shards is made good by the next greeting.
pub const MIRROR_KNOCK_INTERVAL: Duration = Duration::from_millis(250);
pub const MIRROR_GREETING_INTERVAL: Duration = Duration::from_secs(2);
/// A mirror that has not greeted for so long is gone.
pub const MIRROR_SILENT_MAX: Duration = Duration::from_secs(10);
/// How long a mirror stays without viewers, so that one who reconnects finds it.
pub const MIRROR_LINGER: Duration = Duration::from_secs(5);
/// When a mirror whose queue was full is told again what fills the lanes. About one turn.
pub const MIRROR_RETRY: Duration = Duration::from_millis(5);
/// Bytes of packets in one batch for a mirror, above which another is begun.
pub const MIRROR_BATCH_BYTES_MAX: usize = 64 * 1024;
/// Batches whose memory a home keeps for the next ones.
pub const MIRROR_BATCHES_KEPT: usize = 8;
/// Messages of other shards that wait for a shard; one holds what a turn of the sender brought. Beyond, media is lost and
/// counted, and everything else is said again.
pub const SHARD_HANDOFF_QUEUE: usize = 256;

// ---- the hot ring -------------------------------------------------------------------------------------------------

/// Segments of one GSO train (the kernel's `UDP_MAX_SEGMENTS` is 64 on older kernels).
pub const TRAIN_SEGMENTS_MAX: usize = 64;
/// Bytes of one GSO train: the largest UDP payload over IPv4 (65 535 − 20 − 8) rounded down.
pub const TRAIN_BYTES_MAX: usize = 65_000;
/// Datagrams taken from the ring before pipes, commands and timers get their turn.
pub const TURN_DATAGRAMS_MAX: usize = 256;
/// Of these, datagrams taken between two slices of a turn's fan-out, so that a large audience never blinds a shard.
pub const SLICE_DATAGRAMS_MAX: usize = 64;
/// Commands taken in one turn.
pub const TURN_COMMANDS_MAX: usize = 64;
/// Pipe inputs taken in one turn.
pub const TURN_PIPE_INPUTS_MAX: usize = 256;
/// Pipe inputs that wait for a shard. A carrier waits for a place, so its client is slowed and nothing is lost.
pub const SHARD_PIPE_QUEUE: usize = 1_024;
/// Commands and questions that wait for a shard; beyond, control is refused.
pub const SHARD_COMMAND_QUEUE: usize = 1_024;
/// How often a shard publishes its totals while something happens.
pub const TOTALS_INTERVAL: Duration = Duration::from_millis(250);
/// Share of a shard's time spent in turns, in thousandths, above which it takes no further session and no further
/// viewer. Those that it has keep the rest for their peaks.
pub const SHARD_LOAD_MAX: u32 = 850;
/// How far back a shard's load looks.
pub const SHARD_LOAD_WINDOW: Duration = Duration::from_secs(1);
/// Bytes of socket buffer asked for; a clamped value is a warning at start.
pub const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

// ---- WebTransport (quinn), promises 1.2 ---------------------------------------------------------------------------

/// Incoming connections that wait to be accepted (quinn's own default is 65 536).
pub const QUIC_INCOMING_MAX: usize = 1_024;
/// Bytes buffered for one connection that waits, and for all of them.
pub const QUIC_INCOMING_BUFFER_BYTES: u64 = 64 * 1024;
pub const QUIC_INCOMING_BUFFER_TOTAL_BYTES: u64 = 8 * 1024 * 1024;
/// Unvalidated connections beyond which a newcomer must prove its address first (Retry).
pub const QUIC_RETRY_ABOVE: usize = 256;
/// Bytes a connection may have under way towards us.
pub const QUIC_RECEIVE_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes one stream may have under way towards us.
pub const QUIC_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Streams of each kind a client may hold open: one per class, HTTP/3's own three, and slack.
pub const QUIC_STREAMS_MAX: u32 = 8;
/// Bytes of datagrams buffered in each direction.
pub const QUIC_DATAGRAM_BUFFER_BYTES: usize = 256 * 1024;
/// A silent connection is given up after this long.
pub const QUIC_IDLE_MAX: Duration = Duration::from_secs(45);
/// Time for a client's page to read what its browser has acknowledged: closing a session discards what is unread.
pub const QUIC_LINGER: Duration = Duration::from_millis(500);
/// Time for a closing connection to finish.
pub const QUIC_CLOSE_MAX: Duration = Duration::from_secs(5);

// ---- HTTP and WebSocket, promises 1.3 -----------------------------------------------------------------------------

/// Time for a request's headers.
pub const HTTP_HEADER_MAX: Duration = Duration::from_secs(5);
/// Time for a request's body.
pub const HTTP_BODY_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's body.
pub const HTTP_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of buffered request head.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Open TCP connections per source address.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 100;
/// Open TCP connections in all.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Time for a TLS handshake.
pub const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long the accept loop rests when the process is out of file descriptors, and how often it may say so.
pub const ACCEPT_REST: Duration = Duration::from_millis(100);
pub const ACCEPT_COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of one WebSocket message (one frame of ours) and of the write buffer behind a slow reader.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 64 * 1024;
pub const WEBSOCKET_WRITE_BUFFER_BYTES_MAX: usize = 512 * 1024;

// ---- media over TCP -----------------------------------------------------------------------------------------------

/// Bytes waiting for a slow TCP media stream; beyond, packets are dropped (media may lose).
pub const TCP_MEDIA_BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// TCP media streams per source address that have not yet proven themselves by a valid check.
pub const TCP_MEDIA_UNPROVEN_MAX: usize = 16;

/// A TCP media stream whose peer says nothing for this long is closed (connectivity checks come every few seconds).
pub const TCP_MEDIA_IDLE_MAX: Duration = Duration::from_secs(30);

// ---- keys, tokens -------------------------------------------------------------------------------------------------

/// Digits of a join key, shown 3-3-3.
pub const KEY_DIGITS: usize = 9;
/// Life of a join key.
pub const KEY_LIFE: Duration = Duration::from_secs(600);
/// Characters of the longer key (Crockford's base 32) that a group gets while too many wrong ones are tried: 2⁴⁰ of them.
pub const KEY_LONG_CHARS: usize = 8;
/// Wrong keys one agent may try in [`KEY_TRY_WINDOW`].
pub const KEY_TRIES_PER_AGENT: u32 = 5;
pub const KEY_TRY_WINDOW: Duration = Duration::from_secs(15 * 60);
/// The longest pause after a row of wrong keys: a person who reads digits aloud waits no longer.
pub const KEY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Wrong keys all agents of a group may try in an hour before its keys become longer; with keys of six digits.
pub const KEY_TRIES_PER_GROUP_HOUR: u32 = 180;
pub const KEY_TRIES_SIX_DIGITS_HOUR: u32 = 20;
/// Wrong keys that may come from one source (an IPv4 address, an IPv6 /64) in an hour: an office makes fewer.
pub const KEY_TRIES_PER_SOURCE_HOUR: u32 = 20;
/// Keys of one session that are open at a time; more only widen what a guesser may hit.
pub const KEYS_PER_SESSION_MAX: usize = 5;
/// Open keys on one node. At ten thousand sessions per shard this is never what a person meets.
pub const KEYS_OPEN_MAX: usize = 100_000;
/// Sessions that pages behind one address may create in [`SESSION_WINDOW`]; a server uses the operator door instead.
pub const SESSIONS_PER_ADDRESS: u32 = 120;
pub const SESSION_WINDOW: Duration = Duration::from_secs(60);
/// Source addresses whose budgets are remembered at a time.
pub const ADDRESSES_REMEMBERED_MAX: usize = 50_000;
/// Wrong secrets for one agent from one address, and for all agents from one address, in [`LOGIN_TRY_WINDOW`].
pub const LOGIN_TRIES_PER_AGENT: u32 = 5;
pub const LOGIN_TRIES_PER_ADDRESS: u32 = 30;
pub const LOGIN_TRY_WINDOW: Duration = Duration::from_secs(60);
/// Secrets that are being checked at a time (each costs a core about 50 ms), and how many may wait for their turn.
pub const LOGIN_CHECKS_MAX: usize = 2;
pub const LOGIN_WAITING_MAX: usize = 64;
/// Agents signed in on one node.
pub const LOGINS_MAX: usize = 100_000;
/// Of these, one agent's: its browsers and tabs. A further one ends the oldest.
pub const LOGINS_PER_AGENT_MAX: usize = 16;
/// Rounds of PBKDF2-HMAC-SHA-256 over an agent's secret (OWASP names 600 000 for what people choose; ours are random).
pub const SECRET_ROUNDS: u32 = 210_000;
/// Life of a join ticket.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Life of a media token, when nothing is said, at least and at most.
pub const MEDIA_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
pub const MEDIA_TOKEN_LIFE_MIN: Duration = Duration::from_secs(60);
pub const MEDIA_TOKEN_LIFE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Clock difference tolerated between the minter of a ticket and the relay.
pub const TICKET_LEEWAY: Duration = Duration::from_secs(30);
/// Bytes of a ticket.
pub const TICKET_BYTES_MAX: usize = 2_048;
/// Life of an agent's login.
pub const LOGIN_LIFE: Duration = Duration::from_secs(8 * 3600);

/// Holders of tickets of one session that are remembered for as long as it runs, so that each can be revoked.
pub const TICKET_HOLDERS_MAX: usize = 16_384;
/// How soon a revocation that found a shard's queue full is sent again; it has a second in all (G-54).
pub const REVOCATION_RETRY: Duration = Duration::from_millis(200);
/// Server keys of one group that are good at a time: one per system, and one more while it is replaced.
pub const SERVER_KEYS_MAX: usize = 20;
/// Sessions in one answer to a server.
pub const SESSIONS_LISTED_MAX: usize = 1_000;

/// Bytes of anything that an identity provider says: its documents, its keys, a token.
pub const IDENTITY_BYTES_MAX: usize = 64 * 1024;
/// Keys of an identity provider that are tried.
pub const IDENTITY_KEYS_MAX: usize = 32;
/// Clock difference tolerated between an identity provider and this node.
pub const IDENTITY_SKEW: Duration = Duration::from_secs(60);
/// Time from the beginning of a sign-in to its end: a password, a second factor, a slow phone.
pub const IDENTITY_FLOW_MAX: Duration = Duration::from_secs(600);
/// Sign-ins under way on one node.
pub const IDENTITY_FLOWS_MAX: usize = 10_000;
/// How long an identity provider's keys are believed without looking again, and how soon a token with an unknown key makes
/// one look again.
pub const IDENTITY_KEYS_AGE: Duration = Duration::from_secs(3_600);
pub const IDENTITY_KEYS_AGAIN: Duration = Duration::from_secs(10);
/// Life of the code that an agent's page exchanges for its token.
pub const LOGIN_CODE_LIFE: Duration = Duration::from_secs(60);
/// Life of an administrator's sign-in, and the time without a request after which it ends.
pub const ADMIN_LIFE: Duration = Duration::from_secs(8 * 3_600);
pub const ADMIN_IDLE: Duration = Duration::from_secs(30 * 60);
/// Administrators signed in on one node.
pub const ADMINS_MAX: usize = 1_000;

/// Spent tickets remembered per generation (two are kept, each as long as a ticket can be valid).
pub const TICKETS_SPENT_MAX: usize = 200_000;

// ---- presence, invites, links -------------------------------------------------------------------------------------

/// Characters of a visitor's id as a site knows it, of a context's id and of an external reference: a UUID, an e-mail
/// address or a case number fits.
pub const REFERENCE_CHARS_MAX: usize = 128;
/// Characters of a context's type: `chat`, `case`, `contact`.
pub const CONTEXT_TYPE_CHARS_MAX: usize = 32;
/// Bytes of one message of a page's presence socket; the longest has two references in it.
pub const PRESENCE_MESSAGE_BYTES_MAX: usize = 2_048;
/// Messages that a page may send in [`PRESENCE_WINDOW`]: it tells of focus and sight, which a person changes.
pub const PRESENCE_MESSAGES_MAX: u32 = 120;
pub const PRESENCE_WINDOW: Duration = Duration::from_secs(60);
/// Messages that wait for a page; it is sent a handful in its life.
pub const PRESENCE_QUEUE_MAX: usize = 16;
/// Open pages of one visitor that are told apart; a further one closes the one that was looked at longest ago.
pub const PAGES_PER_VISITOR_MAX: usize = 8;
/// Pages behind one address (an office), of one group, and on one node, that hold a presence socket.
pub const PAGES_PER_ADDRESS_MAX: usize = 256;
pub const PAGES_PER_GROUP_MAX: usize = 20_000;
pub const PAGES_MAX: usize = 50_000;
/// Visitors that one stream of events follows; a longer list is a report, not a screen.
pub const WATCHED_MAX: usize = 100;
/// Streams of events of one agent, and on one node.
pub const WATCHERS_PER_AGENT_MAX: usize = 16;
pub const WATCHERS_MAX: usize = 20_000;
/// Events that wait for a stream; who lets this fill is cut off and reads the present state anew.
pub const WATCHER_QUEUE_MAX: usize = 256;
/// A silent stream of events says that it is alive this often, so that proxies keep it open.
pub const WATCHER_BEAT: Duration = Duration::from_secs(15);
/// How often it is looked what is due: invites and links that nobody answered.
pub const INVITE_TICK: Duration = Duration::from_millis(500);
/// Invites of one agent, and on one node, that are open at a time.
pub const INVITES_PER_AGENT_MAX: usize = 4;
pub const INVITES_MAX: usize = 10_000;
/// How long the outcome of an invite can be asked for.
pub const INVITE_REMEMBERED: Duration = Duration::from_secs(60);
/// Characters of a link that opens by itself (80 bits), and of one that needs a key too (40 bits and the key's 30).
pub const LINK_CHARS: usize = 16;
pub const LINK_CHARS_WITH_KEY: usize = 8;
/// Life of a link; the session behind it would not wait longer.
pub const LINK_LIFE: Duration = NEVER_JOINED_MAX;
/// Links on one node.
pub const LINKS_MAX: usize = 20_000;
/// Wrong links and wrong keys that one address may try in [`LINK_TRY_WINDOW`], and wrong keys that close a link.
pub const LINK_TRIES_PER_ADDRESS: u32 = 10;
pub const LINK_TRY_WINDOW: Duration = Duration::from_secs(60);
pub const LINK_WRONG_KEYS_MAX: u8 = 5;
/// Life of the token in a `view_url`: long enough to click a link that has just appeared in a chat.
pub const VIEW_LIFE: Duration = Duration::from_secs(120);
/// Such tokens on one node.
pub const VIEWS_MAX: usize = 20_000;

// ---- policy bundles -----------------------------------------------------------------------------------------------

/// Bytes of a web address in a bundle or in a question about one; longer ones do not survive every browser and proxy.
pub const ADDRESS_BYTES_MAX: usize = 2_048;
/// Bookmarks and folders of a group together (R035).
pub const BOOKMARK_ITEMS_MAX: usize = 20;
/// Lists of allowed sites that hold together, one for each time that others were enforced; beyond it nothing is allowed.
pub const SITE_LISTS_MAX: usize = 8;
/// Addresses that a group's agents have suggested and nobody has looked at: more than anybody reads.
pub const SUGGESTIONS_MAX: usize = 200;
/// Links to approved documents of a group (R090).
pub const DOCUMENT_LINKS_MAX: usize = 20;
/// Patterns of allowed sites of a group; each question is answered by walking them.
pub const ALLOWED_SITES_MAX: usize = 200;
/// Roles of a group.
pub const ROLES_MAX: usize = 50;
/// Selectors of each kind in one privacy profile, and characters of one selector.
pub const SELECTORS_MAX: usize = 100;
pub const SELECTOR_CHARS_MAX: usize = 500;
/// Bytes of one privacy profile as JSON: it travels in the visitor's `welcome`, which is one frame.
pub const MASK_BYTES_MAX: usize = 4_096;
/// Characters of a text that a visitor consents to.
pub const CONSENT_TEXT_CHARS_MAX: usize = 2_000;
/// Bytes of a document that its receiver may save (rules.md decision 2), unless the group says otherwise.
pub const DOCUMENT_SAVE_BYTES: u64 = 5_000_000;
/// The longest session that a group may set, in minutes.
pub const SESSION_MINUTES_MAX: u16 = 720;
/// Days that audit lines and session records are kept, unless the group says otherwise, and at most.
pub const RETENTION_DAYS: u16 = 365;
pub const RETENTION_DAYS_MAX: u16 = 3_650;
/// Characters of the note beside a version.
pub const NOTE_CHARS_MAX: usize = 500;

// ---- the HTTP API -------------------------------------------------------------------------------------------------

/// Items of a list in one answer, unless the request says otherwise, and at most: some hundred kilobytes.
pub const PAGE_ITEMS: usize = 100;
pub const PAGE_ITEMS_MAX: usize = 500;
/// Characters of an `Idempotency-Key`: a UUID and some room.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;
/// How long an answer is kept for a request that is repeated with the same `Idempotency-Key`.
pub const IDEMPOTENCY_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Answers kept for repeated requests at each door, and their bytes: beyond, the oldest is forgotten.
pub const IDEMPOTENCY_KEYS_MAX: usize = 4_096;
pub const IDEMPOTENCY_BYTES_MAX: usize = 4 << 20;

// ---- the store ----------------------------------------------------------------------------------------------------

/// How long a request waits for the store; beyond, it is refused so that a stuck disk never hangs a client.
pub const STORE_MAX: Duration = Duration::from_secs(1);
/// How often old audit lines and session records are looked for.
pub const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// Rows removed in one statement, and statements in one look: nobody waits long behind them, and 10 000 rows a minute are
/// more than a busy node writes.
pub const RETENTION_BATCH: usize = 1_000;
pub const RETENTION_BATCHES_MAX: usize = 10;
/// How long a backup waits for its moment.
pub const BACKUP_MAX: Duration = Duration::from_secs(10);
/// Jobs that may wait for the store.
pub const STORE_QUEUE_MAX: usize = 4_096;

/// Consent receipts that wait for a store that is away or full: about ten megabytes, hours of a busy node.
pub const RECEIPTS_WAITING_MAX: usize = 10_000;

/// Days that one question about the past may span: a month, whatever month it is.
pub const REPORT_DAYS_MAX: u16 = 31;
/// Rows of one export: some megabytes, read within [`STORE_MAX`].
pub const REPORT_ROWS_MAX: usize = 20_000;

// ---- the outside --------------------------------------------------------------------------------------------------

/// How long a request to the outside may take in all (a person may wait for it), and one connection of it.
pub const FETCH_MAX: Duration = Duration::from_secs(5);
pub const FETCH_CONNECT_MAX: Duration = Duration::from_secs(2);
/// Bytes of an answer that nobody wants which are read before the connection is closed.
pub const FETCH_BYTES_MAX: usize = 1024 * 1024;
/// Addresses of a host that are tried.
pub const FETCH_ADDRESSES_MAX: usize = 4;
/// Origins that a document's host is asked about at a time: a page or two, and the sites of a group.
pub const LINK_ORIGINS_MAX: usize = 16;
/// Webhooks of a group: an event is matched against each.
pub const WEBHOOKS_PER_GROUP_MAX: usize = 10;
/// Messages under way on one node, and to one webhook: a slow receiver leaves room for others.
pub const WEBHOOKS_UNDER_WAY_MAX: usize = 32;
pub const WEBHOOK_UNDER_WAY_MAX: usize = 4;
/// Messages that may wait for one webhook; further ones are lost and counted.
pub const WEBHOOK_QUEUE_MAX: usize = 5_000;
/// Dead messages kept for one webhook, the newest, and for how long.
pub const WEBHOOK_DEAD_MAX: usize = 1_000;
pub const WEBHOOK_DEAD_LIFE: Duration = Duration::from_secs(14 * 24 * 3_600);
/// Tries at a message, the pause after the first, how it grows, and the longest: ten hours in all, a night's outage.
pub const WEBHOOK_ATTEMPTS_MAX: u32 = 10;
pub const WEBHOOK_RETRY_FIRST: Duration = Duration::from_secs(5);
pub const WEBHOOK_RETRY_FACTOR: u32 = 3;
pub const WEBHOOK_RETRY_MAX: Duration = Duration::from_secs(6 * 3_600);
/// How often the queue is looked at when nothing has been told.
pub const WEBHOOK_LOOK: Duration = Duration::from_secs(2);
/// How long a replaced secret still signs beside the new one.
pub const WEBHOOK_SECRET_OVERLAP: Duration = Duration::from_secs(24 * 3_600);
/// Deliveries in one answer.
pub const DELIVERIES_PER_PAGE: usize = 100;
/// Life of a camera link, how many are open on one node, and how many an agent and a group may send in an hour: a text
/// message costs money and somebody's attention.
pub const CAMERA_LINK_LIFE: Duration = Duration::from_secs(15 * 60);
pub const CAMERA_LINKS_MAX: usize = 10_000;
pub const CAMERA_INVITES_PER_AGENT: u32 = 20;
pub const CAMERA_INVITES_PER_GROUP: u32 = 200;
pub const CAMERA_INVITE_WINDOW: Duration = Duration::from_secs(3_600);

// ---- stopping -----------------------------------------------------------------------------------------------------

/// How long a drain waits for sessions to end by themselves.
pub const DRAIN_MAX: Duration = Duration::from_secs(900);
/// What a refused newcomer is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

// ---- relations ----------------------------------------------------------------------------------------------------

const _: () = assert!(KEY_LONG_CHARS != KEY_DIGITS && KEY_LONG_CHARS != 6, "a key's length says what kind it is");
const _: () = assert!(PAYLOAD_BYTES_MAX < u16::MAX as usize, "a payload length fits the header field");
const _: () = assert!(MESSAGE_CHUNKS_MAX < u16::MAX as usize, "a chunk index fits the header field");
const _: () = assert!(SNAPSHOT_BYTES_MAX <= MESSAGE_BYTES_MAX, "a snapshot is one message");
const _: () = assert!(MASK_BYTES_MAX <= PAYLOAD_BYTES_MAX / 3, "masks fit a welcome beside its members");
const _: () = assert!(ASSET_NAMES_MAX * 35 < PAYLOAD_BYTES_MAX * 2 / 3, "a welcome fits its frame");
const _: () = assert!(LAG_BYTES < RESYNC_BYTES && RESYNC_BYTES < LOG_BYTES_MAX, "an agent lags before it resyncs");
const _: () = assert!(PIPE_WINDOW_BYTES >= 4 * FRAME_BYTES_MAX, "a pipe keeps several frames under way");
const _: () = assert!(PARTICIPANTS_LIFETIME_MAX < u8::MAX as usize, "a participant id fits the source byte");
const _: () = assert!(WEBSOCKET_MESSAGE_BYTES_MAX >= FRAME_BYTES_MAX, "a frame fits a WebSocket message");
const _: () = assert!(TRAIN_SEGMENTS_MAX * 1_000 <= TRAIN_BYTES_MAX, "a full train of ordinary packets fits");
