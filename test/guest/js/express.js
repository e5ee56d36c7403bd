// An Express application and its clients.
const express = require('express'), http = require('http');
const app = express();
app.use(express.json({ limit: '1mb' }));
app.get('/square/:n', (q, r) => r.json({ n: q.params.n ** 2 }));
app.post('/length', (q, r) => r.send(String(q.body.text.length)));
app.get('/boom', () => { throw new Error('boom'); });
app.use((e, q, r, next) => r.status(500).send('caught ' + e.message));
app.use('/files', express.static(__dirname));
const server = app.listen(0, '127.0.0.1', async () => {
  const base = `http://127.0.0.1:${server.address().port}`;
  const squares = await Promise.all([...Array(40).keys()].map(i => fetch(`${base}/square/${i}`).then(r => r.json())));
  console.log(squares.map(s => s.n).join());
  console.log(await (await fetch(base + '/length', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ text: 'x'.repeat(200000) }) })).text());
  const boom = await fetch(base + '/boom');
  console.log(boom.status, await boom.text());
  console.log((await (await fetch(base + '/files/express.js')).text()).length, (await fetch(base + '/none')).status);
  server.close(() => console.log('closed'));
  server.closeAllConnections();
});
