/** The widget's look, inside its shadow root: the page's style sheets do not reach it, its own do not reach the page. */
export const STYLE = `
:host { all: initial; position: fixed; inset: auto 0 0 auto; width: 0; height: 0; z-index: 2147483647; }
* { box-sizing: border-box; }
.root { --ink: #16202e; --soft: #566173; --line: #d9dfe8; --paper: #fff; --wash: #f4f6fa; --brand: #1f4fd8; --good: #14804a; --warn: #9a5b00;
  --stop: #b3261e; font: 400 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); }
[hidden] { display: none !important; }
button { font: inherit; font-weight: 600; border-radius: 9px; border: 1px solid var(--line); background: var(--paper); color: var(--ink);
  padding: 9px 14px; min-height: 40px; cursor: pointer; }
button:hover { background: var(--wash); }
button.main { background: var(--brand); border-color: var(--brand); color: #fff; }
button.main:hover { background: #183fb0; }
button.stop { color: var(--stop); border-color: #e8b9b5; }
button.stop:hover { background: #fdf1f0; }
button.plain { border-color: transparent; padding: 6px 10px; min-height: 36px; }
:focus-visible { outline: 3px solid #7aa2ff; outline-offset: 2px; }
h2, p, ul { margin: 0; }
h2 { font-size: 16px; font-weight: 650; }
.card { position: fixed; right: 20px; bottom: 20px; width: 340px; max-width: calc(100vw - 24px); max-height: calc(100dvh - 40px); overflow: auto;
  background: var(--paper); border: 1px solid var(--line); border-radius: 16px; box-shadow: 0 12px 40px rgb(16 24 40 / 18%), 0 2px 6px rgb(16 24 40 / 8%); }
.head { display: flex; align-items: center; gap: 10px; padding: 12px 8px 12px 16px; border-bottom: 1px solid var(--line); }
.head h2 { flex: 1; }
.dot { width: 10px; height: 10px; border-radius: 50%; background: #98a2b3; flex: none; }
.dot[data-tone=good] { background: var(--good); box-shadow: 0 0 0 4px #14804a26; }
.dot[data-tone=warn] { background: #d98a00; box-shadow: 0 0 0 4px #d98a0026; }
.body { padding: 14px 16px; display: grid; gap: 12px; }
.soft { color: var(--soft); font-size: 14px; }
.key { background: var(--wash); border: 1px solid var(--line); border-radius: 12px; padding: 12px; text-align: center; display: grid; gap: 2px; }
.digits { font: 650 30px/1.2 ui-monospace, "SF Mono", Menlo, Consolas, monospace; letter-spacing: .04em; font-variant-numeric: tabular-nums;
  display: flex; justify-content: center; gap: 16px; user-select: all; }
.people { list-style: none; padding: 0; display: grid; gap: 8px; }
.people li { display: flex; align-items: center; gap: 10px; }
.face { width: 30px; height: 30px; border-radius: 50%; color: #fff; font-weight: 650; font-size: 13px; display: grid; place-items: center; flex: none; }
.people .soft { margin-left: auto; }
.note { display: flex; gap: 10px; align-items: flex-start; background: #fff8eb; border: 1px solid #f0d9a8; border-radius: 10px; padding: 10px 12px; font-size: 14px; }
.note p { flex: 1; }
.note button { min-height: 28px; padding: 2px 8px; background: transparent; }
.share { display: flex; align-items: center; gap: 10px; background: #eef6f1; border: 1px solid #bfe0cd; border-radius: 10px; padding: 10px 12px; font-size: 14px; }
.share p { flex: 1; }
.camera { display: grid; gap: 8px; background: #eef6f1; border: 1px solid #bfe0cd; border-radius: 12px; padding: 10px; font-size: 14px; }
.camera .stage { position: relative; border-radius: 8px; overflow: hidden; background: #0b1220; aspect-ratio: 16 / 9; display: grid; place-items: center; color: #fff; }
.camera video { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.camera video.mirror { transform: scaleX(-1); }
.camera .row { display: flex; gap: 8px; flex-wrap: wrap; }
.camera .row button { flex: 1; white-space: nowrap; padding: 6px 10px; }
.foot { display: flex; gap: 8px; padding: 12px 16px 16px; border-top: 1px solid var(--line); flex-wrap: wrap; }
.foot button { flex: 1; white-space: nowrap; }
.pill { position: fixed; right: 20px; bottom: 20px; display: flex; align-items: center; gap: 4px; border-radius: 999px; padding: 5px;
  background: var(--paper); border: 1px solid var(--line); box-shadow: 0 6px 24px rgb(16 24 40 / 20%); }
.pill button { border-radius: 999px; }
.pill .plain { display: flex; align-items: center; gap: 10px; padding: 6px 12px; }
dialog { border: 0; padding: 0; border-radius: 18px; width: 440px; max-width: calc(100vw - 24px); color: var(--ink);
  box-shadow: 0 24px 80px rgb(16 24 40 / 35%); font: inherit; }
dialog::backdrop { background: rgb(15 23 42 / 55%); }
.ask { padding: 24px; display: grid; gap: 14px; }
.ask h2 { font-size: 20px; line-height: 1.3; outline: none; }
.ask ul { padding-left: 20px; display: grid; gap: 6px; color: var(--soft); font-size: 14px; }
.ask #ask-text { display: grid; gap: 10px; }
.ask p { font-size: 14px; line-height: 1.45; overflow-wrap: anywhere; }
.ask .terms { font-size: 13px; }
.ask .row { display: flex; gap: 10px; justify-content: flex-end; margin-top: 4px; flex-wrap: wrap; }
.ask .row button { min-width: 120px; }
.screen { position: fixed; left: 20px; bottom: 20px; width: min(560px, calc(100vw - 24px)); min-width: 240px; min-height: 180px; max-width: calc(100vw - 24px);
  max-height: calc(100dvh - 24px); resize: both; overflow: hidden; background: #0f1726; color: #fff; border-radius: 14px;
  box-shadow: 0 16px 50px rgb(16 24 40 / 35%); display: flex; flex-direction: column; aspect-ratio: 16 / 10.6; }
.screen.big { inset: 12px; width: auto; height: auto; max-width: none; max-height: none; aspect-ratio: auto; resize: none; }
.screen header { display: flex; align-items: center; gap: 8px; padding: 8px 8px 8px 14px; font-size: 14px; }
.screen header p { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.screen button { background: transparent; color: #fff; border-color: #ffffff40; min-height: 32px; padding: 3px 10px; font-size: 13px; }
.screen button:hover { background: #ffffff1f; }
.screen .stage { flex: 1; min-height: 0; position: relative; display: grid; place-items: center; background: #060b14; }
.screen video { width: 100%; height: 100%; object-fit: contain; position: absolute; inset: 0; }
.pointers { position: fixed; inset: 0; pointer-events: none; overflow: hidden; }
.pointer { position: absolute; left: 0; top: 0; display: flex; align-items: flex-start; will-change: transform; transition: opacity .3s; }
.pointer svg { flex: none; filter: drop-shadow(0 1px 2px rgb(0 0 0 / 40%)); }
.pointer span { margin: 16px 0 0 -3px; padding: 2px 8px; border-radius: 8px; color: #fff; font-size: 12px; font-weight: 650; white-space: nowrap; }
.frame { position: fixed; inset: 0; pointer-events: none; border: 3px solid #1f4fd8; opacity: .55; }
.frame[data-tone=warn] { border-color: #d98a00; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: no-preference) {
  .card, .screen { animation: rise .18s ease-out; }
  @keyframes rise { from { transform: translateY(8px); opacity: 0; } }
}
@media (max-width: 520px) {
  .card { right: 0; left: 0; bottom: 0; width: auto; max-width: none; border-radius: 18px 18px 0 0; max-height: 80dvh; padding-bottom: env(safe-area-inset-bottom); }
  .pill { right: 12px; bottom: calc(12px + env(safe-area-inset-bottom)); }
  .screen { left: 12px; right: 12px; width: auto; top: 12px; bottom: auto; }
  .screen header { flex-wrap: wrap; }
  .screen header p { flex: 1 0 100%; }
  .ask .row button { flex: 1; min-width: 0; }
}
@media (forced-colors: active) { .card, dialog, .pill { border: 2px solid; } }
`;
