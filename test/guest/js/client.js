// Sends messages of many sizes over many WebSockets, and wants each back.
const WebSocket = require('ws')

const [url, sockets, messages] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
let open = sockets
for (let s = 0; s < sockets; s++) {
  const socket = new WebSocket(url)
  const message = i => Buffer.alloc((i * 7919) % 70000 + 1, s + i)
  let i = 0
  socket.on('open', () => socket.send(message(i)))
  socket.on('message', data => {
    if (!message(i).equals(data)) {
      console.log(`message ${i} of socket ${s} came back different: ${data.length} bytes`)
      process.exit(1)
    }
    if (++i < messages) socket.send(message(i))
    else socket.close()
  })
  socket.on('error', e => { console.log(`socket ${s}, message ${i}: ${e}`); process.exit(1) })
  socket.on('close', () => { if (--open === 0) console.log('all came back') })
}
