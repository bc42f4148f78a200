/* What an integrator writes: sign in, watch the customers of the cases on screen, start a session from a case, follow its events. */

const CASES = [
  { id: 'C-1042', customer: 'Maria Lund', visitor: 'maria', subject: 'Which lamp fits a low ceiling?' },
  { id: 'C-1043', customer: 'Leo Brandt', visitor: 'leo', subject: 'Checkout refuses my address' },
  { id: 'C-1044', customer: 'Noor Haddad', visitor: 'noor', subject: 'Wants to see the warranty terms' },
];
const PRESENCE = { absent: 'not on the website', present: 'on the website now', busy: 'in a session or being asked' };
const EVENTS = {
  'invite.sent': 'An invitation is being sent…',
  'invite.accepted': 'The customer accepted.',
  'invite.declined': 'The customer declined.',
  'invite.expired': 'The customer did not answer, or the invitation was taken back.',
  'session.started': 'The session has started.',
  'session.ended': 'The session has ended.',
  'share.started': 'A screen is being shared.',
  'share.stopped': 'The screen share has ended.',
  popup_blocked: 'The browser blocked a window. Use the link in the viewer.',
};

const at = (id) => document.getElementById(id);
const standing = new Map(CASES.map((one) => [one.visitor, 'absent']));
const viewer = FanlightViewer.mount(at('viewer'), { title: 'Co-browse with the customer' });
let current;
let busy = false;

function note(text, link) {
  const line = document.createElement('li');
  line.append(text);
  if (link) {
    const anchor = Object.assign(document.createElement('a'), { href: link, target: '_blank', rel: 'noopener', textContent: link });
    line.append(' ', anchor);
  }
  at('transcript').append(line);
}

function front(tab) {
  for (const name of ['engagement', 'viewer']) at(`tab-${name}`).setAttribute('aria-selected', String(name === tab));
  at('engagement').hidden = tab !== 'engagement';
  at('viewer').classList.toggle('behind', tab !== 'viewer');
}

function draw() {
  at('cases').replaceChildren(...CASES.map((one) => {
    const state = standing.get(one.visitor);
    const button = Object.assign(document.createElement('button'), { type: 'button' });
    button.setAttribute('aria-current', String(one === current));
    const badge = Object.assign(document.createElement('span'), { className: 'state', textContent: PRESENCE[state] });
    badge.dataset.state = state;
    const name = Object.assign(document.createElement('strong'), { textContent: one.customer });
    button.append(name, `${one.id} · ${one.subject}`, badge);
    button.addEventListener('click', () => { current = one; draw(); });
    const item = document.createElement('li');
    item.append(button);
    return item;
  }));
  at('actions').hidden = current === undefined;
  if (current === undefined) return;
  const state = standing.get(current.visitor);
  at('case-title').textContent = `${current.customer} · ${current.id}`;
  at('case-text').textContent = current.subject;
  at('presence').textContent = `${current.customer} is ${PRESENCE[state]}.`;
  at('cobrowse').dataset.state = state;
  at('cobrowse').disabled = busy || state !== 'present';
  at('show').disabled = at('view').disabled = busy;
}

/** A session always carries the case it was started from: it comes back in every event, webhook and report. */
const about = () => ({ context: { type: 'case', id: current.id }, external_ref: current.id });

at('cobrowse').addEventListener('click', () => viewer.start({ ...about(), kind: 'cobrowse', visitor: current.visitor }));
for (const kind of ['show', 'view']) at(kind).addEventListener('click', () => { front('viewer'); viewer.start({ ...about(), kind }); });
at('tab-engagement').addEventListener('click', () => front('engagement'));
at('tab-viewer').addEventListener('click', () => front('viewer'));

viewer.on('presence', ({ visitor, state }) => { standing.set(visitor, state); draw(); });
viewer.on('session.created', ({ join_url, key }) => note(`Ask the customer to open${key ? ` (key ${key})` : ''}:`, join_url));
viewer.on('session.started', () => { busy = true; front('viewer'); draw(); });
viewer.on('session.ended', () => { busy = false; draw(); });
viewer.on('error', ({ sentence }) => note(sentence));
for (const [name, text] of Object.entries(EVENTS)) viewer.on(name, () => note(text));

/** The demo's agents are public; a real contact centre signs its agents in on its own server. */
async function signIn() {
  const { group, agents: [agent] } = await (await fetch('/demo/config.json')).json();
  const answer = await fetch('/v1/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ group, agent: agent.agent, secret: agent.secret }),
  });
  const login = { group, ...(await answer.json()) };
  at('who').textContent = login.name;
  viewer.watch(CASES.map((one) => one.visitor));
  viewer.signIn(login);
}

front('engagement');
draw();
signIn();
