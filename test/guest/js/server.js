// Answers a body with its SHA-256, and WebSocket messages with themselves.
const crypto = require('crypto')
const http = require('http')
const WebSocket = require('ws')

const server = http.createServer((request, response) => {
  const hash = crypto.createHash('sha256')
  request.on('data', b => hash.update(b))
  request.on('end', () => response.end(request.method === 'POST' ? hash.digest('hex') : 'up\n'))
})
new WebSocket.Server({ server }).on('connection', socket => {
  socket.on('message', (data, binary) => socket.send(data, { binary }))
})
server.listen(Number(process.argv[2]), '0.0.0.0')
