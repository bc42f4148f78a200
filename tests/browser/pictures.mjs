// Pages to be captured as screens.

/** A tab that never stands still, with a title that the browser's picker finds by flag. */
export async function openMovingTab(context, title, { width, height, color = '#1f4fd8', body = '' }) {
    const page = await context.newPage();
    await page.setViewportSize({ width, height });
    await page.setContent(`<title>${title}</title><body style="margin:0;background:${color}"><div style="position:absolute;width:40px;height:40px;background:#fff;border:2px solid #2f5d43;box-sizing:border-box"></div>${body}`);
    await page.evaluate(() => {
        const box = document.querySelector('div');
        const move = (now) => {
            box.style.transform = `translate(${(now / 5) % 500}px, ${(now / 9) % 40}px)`;
            requestAnimationFrame(move);
        };
        requestAnimationFrame(move);
    });
    return page;
}
