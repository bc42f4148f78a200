/* The demo shop's own behaviour: stars in a shadow root, a lamp on a canvas, a checkout that goes nowhere. */

/* `?visitor=maria` plays a customer who has signed in: agents then see that she is here and may ask to help. */
const visitor = new URLSearchParams(location.search).get('visitor') ?? sessionStorage.getItem('visitor');
if (visitor) {
  sessionStorage.setItem('visitor', visitor);
  window.Fanlight?.configure({ visitorId: visitor });
}

const stars = new CSSStyleSheet();
stars.replaceSync(`
  :host { display: inline-flex; gap: 6px; align-items: center; font-size: 14px; }
  .off { color: #d9d4c3; position: relative; letter-spacing: 2px; }
  .on { color: #b4552d; position: absolute; inset: 0 auto 0 0; overflow: hidden; white-space: nowrap; }
`);

class StarRating extends HTMLElement {
  connectedCallback() {
    const value = Number(this.getAttribute('value') ?? 0);
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [stars];
    const off = document.createElement('span');
    off.className = 'off';
    off.setAttribute('aria-hidden', 'true');
    off.textContent = '★★★★★';
    const on = document.createElement('span');
    on.className = 'on';
    on.style.width = `${value * 20}%`;
    on.textContent = '★★★★★';
    off.append(on);
    const text = document.createElement('span');
    text.textContent = value.toFixed(1);
    text.setAttribute('aria-label', `${value} of 5 stars`);
    root.append(off, text);
  }
}
customElements.define('star-rating', StarRating);

const SHADES = { linen: '#e9dfc9', clay: '#c9734b', fern: '#5f8b6b', night: '#3b4a63' };

function drawLamp(canvas, shade, level) {
  const c = canvas.getContext('2d');
  c.clearRect(0, 0, canvas.width, canvas.height);
  const glow = c.createRadialGradient(240, 190, 20, 240, 190, 260);
  glow.addColorStop(0, `rgba(255, 226, 150, ${level / 110})`);
  glow.addColorStop(1, 'rgba(255, 226, 150, 0)');
  c.fillStyle = glow;
  c.fillRect(0, 0, canvas.width, canvas.height);
  c.fillStyle = shade;
  c.beginPath();
  c.moveTo(160, 80);
  c.lineTo(320, 80);
  c.lineTo(372, 250);
  c.lineTo(108, 250);
  c.closePath();
  c.fill();
  c.fillStyle = '#b98f62';
  c.fillRect(228, 250, 24, 150);
  c.fillStyle = '#a87b4f';
  c.beginPath();
  c.ellipse(240, 420, 96, 30, 0, 0, Math.PI * 2);
  c.fill();
}

const canvas = document.querySelector('#preview');
const choose = document.querySelector('#choose');
if (canvas && choose) {
  const draw = () => {
    const form = new FormData(choose);
    drawLamp(canvas, SHADES[form.get('shade')] ?? SHADES.linen, Number(form.get('level')));
  };
  choose.addEventListener('input', draw);
  document.querySelector('#quantity').addEventListener('change', (event) => {
    document.querySelector('#stock').textContent = `In stock, ${15 - Number(event.target.value)} left`;
  });
  draw();
}

document.querySelector('#order')?.addEventListener('submit', (event) => {
  event.preventDefault();
  const done = document.querySelector('#done');
  done.hidden = false;
  done.scrollIntoView({ block: 'center' });
});
