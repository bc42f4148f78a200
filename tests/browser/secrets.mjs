// Where a page keeps what must not leave it: every place of the leak table, each with a secret of its own.

/** A word that occurs nowhere else and survives any encoding of addresses. */
export const secretOf = (place) => `zq7${place}k9x`;

/** Also seeded, in the open: finding it proves that the search finds things. */
export const CONTROL = 'zq7controlk9x';

const FIELDS = 100;

/**
 * Seeds secrets into the page: attributes and fields that nobody marked, and text that is marked as masked. Runs in the page;
 * `tag` tells the seeds of different moments apart. Gives the places.
 */
export function seedSecrets({ tag, fields }) {
    const places = [];
    const secret = (place) => {
        places.push(`${tag}${place}`);
        return `zq7${tag}${place}k9x`;
    };
    const types = ['text', 'password', 'email', 'tel', 'search', 'url', 'hidden', 'number'];
    const box = document.createElement('section');
    box.id = `seeds-${tag}`;
    const form = document.createElement('form');
    for (let at = 0; at < fields; at += 1) {
        const field = document.createElement('input');
        field.type = types[at % types.length];
        if (field.type === 'number') field.type = 'text';
        // Half of the values are in the markup, half are set by script; passwords cannot be opened by any rule.
        if (at % 2 === 0) field.setAttribute('value', secret(`field${at}`));
        else field.value = secret(`field${at}`);
        if (field.type === 'password' || field.type === 'hidden') field.setAttribute('data-fanlight-unmask', '');
        form.append(field);
    }
    form.insertAdjacentHTML('beforeend', `
        <input autocomplete="cc-number" value="${secret('card')}" data-fanlight-unmask>
        <input autocomplete="one-time-code" value="${secret('code')}" data-fanlight-unmask>
        <input type="button" data-fanlight-mask value="${secret('button')}">
        <input placeholder="${secret('placeholder')}" title="${secret('fieldtitle')}" aria-label="${secret('fieldlabel')}" name="n" pattern="${secret('pattern')}">
        <textarea>${secret('textarea')}</textarea>
        <select><option>${secret('option')}</option><option selected value="${secret('optionvalue')}">${secret('selected')}</option>
            <optgroup label="${secret('optgroup')}"><option label="${secret('optionlabel')}">x</option></optgroup></select>
        <input list="list-${tag}"><datalist id="list-${tag}"><option value="${secret('datalist')}">${secret('datalisttext')}</option></datalist>
        <div contenteditable="true">${secret('editable')}<b>${secret('editableinner')}</b></div>`);
    box.append(form);
    box.insertAdjacentHTML('beforeend', `
        <p title="${secret('title')}" aria-label="${secret('arialabel')}" aria-description="${secret('ariadescription')}" data-customer="${secret('data')}"
            data-fanlight-note="${secret('datafl')}" itemprop="${secret('itemprop')}" onclick="void '${secret('handler')}'">A plain paragraph</p>
        <img alt="${secret('alt')}" src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==" width="1" height="1">
        <a href="/demo/?token=${secret('href')}#${secret('hash')}">A link</a>
        <a href="mailto:${secret('mailto')}@example.org">Another</a>
        <div data-fanlight-mask>${secret('text')} <b>${secret('textinner')}</b><svg viewBox="0 0 1 1"><text>${secret('svgtext')}</text><title>${secret('svgtitle')}</title></svg>
            <style>.x-${tag}::after { content: "${secret('csscontent')}" }</style><button>${secret('maskedbutton')}</button></div>
        <div data-fanlight-block>${secret('blocked')}<img alt="${secret('blockedalt')}"></div>
        <div data-fanlight-mask><p data-fanlight-unmask data-fanlight-mask>${secret('both')}</p></div>
        <!-- ${secret('comment')} -->
        <template><p>${secret('template')}</p></template>
        <noscript>${secret('noscript')}</noscript>
        <meta name="customer" content="${secret('meta')}">
        <object data="data:text/plain,${secret('object')}" type="text/plain"></object>`);
    const script = document.createElement('script');
    script.type = 'application/json';
    script.textContent = JSON.stringify({ token: secret('script') });
    const canvas = document.createElement('canvas');
    canvas.setAttribute('aria-label', secret('canvaslabel'));
    canvas.setAttribute('data-fanlight-mask', '');
    canvas.append(secret('canvasfallback'));
    const host = document.createElement('div');
    host.setAttribute('data-fanlight-mask', '');
    host.attachShadow({ mode: 'open' }).innerHTML = `<p title="${secret('shadowtitle')}">${secret('shadow')}</p><input value="${secret('shadowfield')}"><slot></slot>`;
    host.append(secret('slotted'));
    const openHost = document.createElement('div');
    openHost.attachShadow({ mode: 'open' }).innerHTML = `<input value="${secret('openshadowfield')}"><p data-fanlight-mask>${secret('openshadow')}</p>`;
    const closedHost = document.createElement('div');
    closedHost.attachShadow({ mode: 'closed' }).innerHTML = `<p>${secret('closedshadow')}</p>`;
    box.append(script, canvas, host, openHost, closedHost);
    const frame = document.createElement('iframe');
    frame.setAttribute('data-fanlight-mask', '');
    frame.title = secret('frametitle');
    frame.srcdoc = `<p>${secret('srcdoc')}</p><input value="${secret('srcdocfield')}"><p title="${secret('srcdoctitle')}">x</p>`;
    box.append(frame);
    const named = document.createElement('iframe');
    named.name = secret('framename');
    named.src = `/demo/checkout.html?token=${secret('framequery')}`;
    box.append(named);
    document.querySelector('main').append(box);
    return places;
}

/** Changes what is there already: attributes, masked text, fields. Runs in the page. */
export function changeSecrets({ tag, from }) {
    const places = [];
    const secret = (place) => {
        places.push(`${tag}${place}`);
        return `zq7${tag}${place}k9x`;
    };
    const box = document.querySelector(`#seeds-${from}`);
    const paragraph = box.querySelector('p');
    for (const name of ['title', 'aria-label', 'data-customer', 'alt', 'itemprop']) paragraph.setAttribute(name, secret(name.replaceAll('-', '')));
    box.querySelector('[data-fanlight-mask] b').textContent = secret('text');
    box.querySelector('[data-fanlight-mask] b').firstChild.data = secret('data');
    box.querySelector('[contenteditable] b').firstChild.data = secret('editable');
    box.querySelector('textarea').value = secret('textarea');
    box.querySelector('textarea').dispatchEvent(new Event('input', { bubbles: true }));
    box.querySelector('option').textContent = secret('option');
    box.querySelector('a').setAttribute('href', `?x=${secret('href')}`);
    box.querySelector('[data-fanlight-block]').append(secret('blocked'));
    box.querySelector('iframe').contentDocument.querySelector('p').textContent = secret('frametext');
    const password = box.querySelector('input[type=password]');
    // "Show password", then a new one.
    password.type = 'text';
    password.value = secret('shownpassword');
    password.dispatchEvent(new Event('input', { bubbles: true }));
    password.setAttribute('value', secret('shownattribute'));
    for (const field of box.querySelectorAll('form > input')) {
        if (field.type === 'text') {
            field.value = secret(`field${places.length}`);
            field.dispatchEvent(new Event('input', { bubbles: true }));
            field.dispatchEvent(new Event('change', { bubbles: true }));
        }
    }
    // Text that is masked only from now on.
    const late = document.createElement('p');
    late.textContent = 'soon hidden';
    late.id = 'late';
    box.append(late);
    late.setAttribute('data-fanlight-mask', '');
    late.textContent = secret('late');
    return places;
}

seedSecrets.fields = FIELDS;
