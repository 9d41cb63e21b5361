// node picture.mjs DASHBOARD.json PROMETHEUS_URL FROM TO SCRAPE OUT.png: build the page, open it in headless Chromium, take its picture.
import { build } from 'esbuild';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [dashboard, prometheus, from, to, scrape, out] = process.argv.slice(2);
// An ES module's default import of this CommonJS one would be the module and not its component.
const scrollbars = {
  name: 'scrollbars',
  setup(plan) {
    plan.onResolve({ filter: /^react-custom-scrollbars-2$/ }, ({ pluginData, resolveDir }) =>
      pluginData === 'real' ? undefined : { path: resolveDir, namespace: 'scrollbars' });
    plan.onLoad({ filter: /.*/, namespace: 'scrollbars' }, async ({ path }) => {
      const real = await plan.resolve('react-custom-scrollbars-2', { resolveDir: path, kind: 'require-call', pluginData: 'real' });
      return { contents: `module.exports = require(${JSON.stringify(real.path)}).default`, resolveDir: path };
    });
  },
};
const bundled = await build({
  entryPoints: ['app.tsx'], bundle: true, write: false, format: 'iife', platform: 'browser', alias: { 'react-router-dom-v5-compat': 'react-router-dom' }, jsx: 'automatic', define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.svg': 'text', '.png': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl' }, logLevel: 'error', outdir: 'out', plugins: [scrollbars],
});
const script = bundled.outputFiles.find((file) => file.path.endsWith('.js')).text;
const style = bundled.outputFiles.find((file) => file.path.endsWith('.css'))?.text ?? '';
const pages = {
  '/': ['text/html', `<!doctype html><meta charset=utf-8><style>body{margin:0;font-family:Inter,Helvetica,Arial,sans-serif;font-size:14px}*{box-sizing:border-box}${style}</style><div id=root></div><script src=/app.js></script>`],
  '/app.js': ['text/javascript', script],
  '/dashboard.json': ['application/json', readFileSync(dashboard, 'utf8')],
};
const server = createServer((request, response) => {
  const page = pages[new URL(request.url, 'http://x').pathname];
  response.writeHead(page ? 200 : 404, { 'content-type': page?.[0] ?? 'text/plain' });
  response.end(page?.[1] ?? '');
}).listen(0, '127.0.0.1');
await new Promise((done) => server.once('listening', done));
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
});
let status = 0;
try {
  const page = await browser.newPage({ viewport: { width: 1500, height: 900 } });
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error.stack ?? error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  const question = new URLSearchParams({ dashboard: '/dashboard.json', prometheus, from, to, scrape });
  await page.goto(`http://127.0.0.1:${server.address().port}/?${question}`);
  await page.waitForTimeout(6000);
  await page.waitForFunction('window.pending === 0', null, { timeout: 30000 });
  await page.waitForTimeout(1500);
  const height = await page.evaluate('document.querySelector(".react-grid-layout")?.getBoundingClientRect().bottom ?? document.body.scrollHeight');
  await page.setViewportSize({ width: 1500, height: Math.ceil(height) + 20 });
  await page.waitForTimeout(1500);
  await page.screenshot({ path: out });
  const panels = await page.evaluate(`[...document.querySelectorAll('section')].map((panel) => [panel.querySelector('h2,h6')?.textContent, /No data/.test(panel.textContent)])`);
  const failed = await page.evaluate('window.failed');
  console.log(JSON.stringify({ panels: panels.length, empty: panels.filter(([, none]) => none).map(([title]) => title), failed, errors: [...new Set(errors)].slice(0, 5) }, null, 1));
  status = failed.length ? 1 : 0;
} finally {
  await browser.close();
  server.close();
}
process.exit(status);
