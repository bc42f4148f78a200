// Random edits of a page, the same for the same seed. Runs inside the visitor's page.

/**
 * Puts a playground into the page and changes it `count` times: text, attributes, class, style, subtrees added, removed and
 * moved, fields, shadow roots, scrolling. Mutations that come in one task are as likely as ones that come alone.
 */
export async function editPage({ seed, count }) {
    const random = generator(seed);
    const pick = (list) => list[Math.floor(random() * list.length)];
    const number = (limit) => Math.floor(random() * limit);
    const playground = document.querySelector('#playground') ?? makePlayground();
    const boxes = () => [playground, ...playground.querySelectorAll('div, ul, section')];
    const all = () => [...playground.querySelectorAll('*')];
    const leaf = () => {
        const made = document.createElement(pick(['p', 'span', 'b', 'li', 'em']));
        made.textContent = `text ${number(1e6)} <&> ü 字`;
        return made;
    };
    const branch = (depth) => {
        const made = document.createElement(pick(['div', 'ul', 'section']));
        made.id = `b${number(1e6)}`;
        for (let at = number(3); at >= 0; at -= 1) made.append(depth > 0 ? branch(depth - 1) : leaf());
        return made;
    };
    const hosts = () => all().filter((element) => element.shadowRoot !== null);
    const moves = {
        text: () => pick(all()).append(`more ${number(1e6)}`),
        retext: () => { const node = pick(playground.querySelectorAll('p, span, b, li, em')); if (node) node.textContent = `changed ${number(1e6)}`; },
        data: () => { const node = pick(playground.querySelectorAll('p, span')); if (node?.firstChild?.nodeType === 3) node.firstChild.data = `data ${number(1e6)}`; },
        attribute: () => pick(all()).setAttribute(pick(['id', 'dir', 'class']), pick(['ltr', 'rtl', 'auto'])),
        unattribute: () => pick(all()).removeAttribute(pick(['dir', 'class', 'style'])),
        class: () => pick(all()).classList.toggle(pick(['warm', 'cold', 'new', 'big'])),
        style: () => { pick(all()).style.setProperty(pick(['color', 'margin-left', 'opacity', '--own', 'background-color']), pick(['1px', 'red', '0.5', 'rgb(1, 2, 3)'])); },
        add: () => pick(boxes()).append(branch(number(3))),
        prepend: () => pick(boxes()).prepend(leaf(), ' loose text ', leaf()),
        remove: () => { if (playground.childElementCount > 6) pick(all()).remove(); },
        move: () => { const [what, where] = [pick(all()), pick(boxes())]; if (!what.contains(where)) where.append(what); },
        swap: () => { const one = pick(all()); const next = one.nextElementSibling; if (next) next.after(one); },
        addThenMove: () => { const made = branch(1); pick(boxes()).append(made); playground.prepend(made); },
        addThenRemove: () => { const made = branch(1); playground.append(made); made.firstElementChild?.remove(); },
        svg: () => pick(boxes()).insertAdjacentHTML('beforeend', `<svg viewBox="0 0 10 10" width="10"><circle cx="5" cy="5" r="${number(5)}" fill="red"></circle></svg>`),
        shadow: () => { const host = document.createElement('section'); host.attachShadow({ mode: 'open' }).append(leaf(), branch(0)); pick(boxes()).append(host); },
        inShadow: () => { const host = pick(hosts()); host?.shadowRoot.append(leaf()); host?.shadowRoot.firstElementChild?.classList.toggle('in'); },
        type: () => { const field = pick(playground.querySelectorAll('input')); if (field) { field.value = `typed ${number(1e6)}`; field.dispatchEvent(new Event('input', { bubbles: true })); } },
        scroll: () => { window.scrollTo(0, number(document.documentElement.scrollHeight)); },
        hide: () => { const node = pick(all()); node.hidden = !node.hidden; },
    };
    const names = Object.keys(moves);
    const done = {};
    for (let at = 0; at < count; at += 1) {
        // Every kind comes up, whatever the dice say.
        const name = at < names.length ? names[at] : pick(names);
        moves[name]();
        done[name] = (done[name] ?? 0) + 1;
        if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, number(12)));
    }
    return done;

    function makePlayground() {
        const made = document.createElement('section');
        made.id = 'playground';
        made.setAttribute('data-fanlight-unmask', '');
        made.innerHTML = '<p>One</p><div><span>Two</span><input name="a"><input name="b" value="set"></div><ul><li>Three</li><li>Four</li></ul><p>Five</p><p>Six</p><div></div><p>Seven</p>';
        document.querySelector('main').append(made);
        return made;
    }

    function generator(start) {
        // mulberry32: small, and the same in every engine.
        let state = start >>> 0;
        return () => {
            state = (state + 0x6d2b79f5) >>> 0;
            let mixed = Math.imul(state ^ (state >>> 15), state | 1);
            mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
            return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
        };
    }
}
