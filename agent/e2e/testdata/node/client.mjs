// Other people's client: commands made and signed with Node's own crypto, sent with MQTT.js. It shares nothing with the
// agent but the description of a command.
//
//	node client.mjs keys FILE        makes keys; prints the public ones as JSON, by kid
//	node client.mjs send PORT FILE   sends what each line of stdin describes, and prints "sent NAME" or "refused NAME WHY"
//	node client.mjs flood PORT FILE PER_SECOND SECONDS
import crypto from 'node:crypto'
import fs from 'node:fs'
import readline from 'node:readline'
import { connectAsync } from 'mqtt'

const root = 'rackagent/v1/test/r1/'
const b64 = (x) => Buffer.from(x).toString('base64url')

function makeKeys (file) {
  const secret = {}
  const open = {}
  for (const kid of ['alice-1', 'wall-1', 'mallory-1']) {
    const jwk = crypto.generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
    secret[kid] = jwk
    open[kid] = jwk.x
  }
  fs.writeFileSync(file, JSON.stringify(secret), { mode: 0o600 })
  console.log(JSON.stringify(open))
}

function readKeys (file) {
  const keys = JSON.parse(fs.readFileSync(file))
  return Object.fromEntries(Object.entries(keys).map(([kid, jwk]) =>
    [kid, { key: crypto.createPrivateKey({ key: jwk, format: 'jwk' }), public: Buffer.from(jwk.x, 'base64url') }]))
}

// command is a cut of outlet 4, good for a minute, with members replaced; null takes one out.
function command (over) {
  const now = Date.now()
  const all = {
    v: 1, op: 'outlet.cut', target: 'outlet/pdu-a.4', exp: now + 60000, iss: 'alice', iat: now, aud: 'test/r1', ...over
  }
  return JSON.stringify(Object.fromEntries(Object.entries(all).filter(([, v]) => v !== null)))
}

const eddsa = (key) => (text) => crypto.sign(null, Buffer.from(text), key)

function jws (header, body, seal) {
  const text = b64(JSON.stringify(header)) + '.' + b64(body)
  return text + '.' + seal(text).toString('base64url')
}

// payload makes what a line describes: {"kind": how, "kid": whose key, "over": members}.
function payload (keys, { kind, kid = 'alice-1', over = {} }) {
  const head = { alg: 'EdDSA', kid, typ: 'rackcmd+jws' }
  const body = command(over)
  const own = keys[kid]
  switch (kind) {
    case 'signed': return jws(head, body, eddsa(own.key))
    case 'unsigned': return command(over)
    case 'wrong-key': return jws(head, body, eddsa(keys['mallory-1'].key))
    case 'none': return jws({ ...head, alg: 'none' }, body, () => Buffer.alloc(0))
    case 'hs256': return jws({ ...head, alg: 'HS256' }, body, (t) => crypto.createHmac('sha256', own.public).update(t).digest())
    case 'es256': {
      const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return jws({ ...head, alg: 'ES256' }, body, (t) => crypto.sign('sha256', Buffer.from(t), { key: privateKey, dsaEncoding: 'ieee-p1363' }))
    }
    case 'jwk': {
      const { kty, crv, x } = crypto.createPublicKey(keys['mallory-1'].key).export({ format: 'jwk' })
      return jws({ ...head, jwk: { kty, crv, x } }, body, eddsa(keys['mallory-1'].key))
    }
    case 'twice': return jws(head, body.replace('{', '{"target":"node/gpu-1",'), eddsa(own.key))
    case 'rubbish': return '{"v":1,"id":"'
    case 'empty': return ''
    case 'megabyte': return jws(head, command({ ...over, why: 'x'.repeat(1 << 20) }), eddsa(own.key))
    default: throw new Error('kind ' + kind)
  }
}

const connect = (port) => connectAsync('mqtt://127.0.0.1:' + port, { protocolVersion: 4, reconnectPeriod: 0 })

async function send (port, keys) {
  const sent = {}
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const what = JSON.parse(line)
    const name = what.name
    const text = what.again ? sent[what.again] : payload(keys, what)
    sent[name] = text
    try {
      const client = await connect(port) // one each: a broker may end a connection for what is sent on it
      const ended = new Promise((resolve, reject) => client.on('close', () => reject(new Error('the broker ended the connection'))))
      ended.catch(() => {})
      try {
        await Promise.race([ended, client.publishAsync(what.topic ?? root + 'down/cmd', text, { qos: 1, retain: what.retain ?? false })])
        console.log('sent', name)
      } finally {
        await client.endAsync(true)
      }
    } catch (e) {
      console.log('refused', name, e.message)
    }
  }
}

// flood sends unsigned commands, forgeries, repeats and rubbish by turns, a hundredth of a second's worth at a time.
async function flood (port, keys, perSecond, seconds) {
  const client = await connect(port)
  const all = [
    payload(keys, { kind: 'unsigned', over: { id: 'flood', target: 'node/gpu-1' } }),
    payload(keys, { kind: 'wrong-key', over: { id: 'flood', seq: 900 } }),
    payload(keys, { kind: 'signed', over: { id: 'flood', seq: 900, aud: 'test/r2' } }),
    payload(keys, { kind: 'rubbish' })
  ]
  const began = Date.now()
  let n = 0
  while (n < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, Math.floor((Date.now() - began) * perSecond / 1000))
    for (; n < due; n++) client.publish(root + 'down/cmd', all[n % all.length], { qos: 0 })
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await client.endAsync()
  console.log('sent', n, Date.now() - began)
}

const [verb, ...args] = process.argv.slice(2)
switch (verb) {
  case 'keys': makeKeys(args[0]); break
  case 'send': await send(args[0], readKeys(args[1])); break
  case 'flood': await flood(args[0], readKeys(args[1]), Number(args[2]), Number(args[3])); break
  default: throw new Error('keys, send or flood')
}
