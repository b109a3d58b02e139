// Times a gbcs-parser on messages and keys from standard input: see bench/gbcs_parser.py.
'use strict'
const { createPrivateKey, createPublicKey } = require('node:crypto')
const { readFileSync } = require('node:fs')

async function main() {
  const { parseGbcsMessage } = require(process.argv[2])
  const asked = JSON.parse(readFileSync(0, 'utf8'))
  const key = (text) =>
    text.includes('PRIVATE') ? createPrivateKey(text) : createPublicKey(text)
  const keys = Object.fromEntries(Object.entries(asked.keys).map(([name, text]) => [name, key(text)]))
  const store = async (eui, type, options) => {
    const secret = options === true || (options && options.privateKey) ? 'private' : 'public'
    const name = typeof eui === 'string' ? eui : Buffer.from(eui).toString('hex')
    const found = keys[`${name.replace(/[^0-9a-f]/gi, '').toLowerCase()}-${type}-${secret}`]
    if (!found) throw new Error(`no ${secret} key of ${name} for ${type}`)
    return found
  }
  const told = {}
  for (const [name, messages] of Object.entries(asked.messages)) {
    for (const message of messages) await parseGbcsMessage(message, store) // warm
    const began = process.cpuUsage()
    for (let round = 0; round < asked.rounds; round++)
      for (const message of messages) await parseGbcsMessage(message, store)
    const spent = process.cpuUsage(began)
    told[name] = (spent.user + spent.system) / asked.rounds / messages.length
  }
  console.log(JSON.stringify(told))
}

main().catch((error) => {
  console.error(String(error))
  process.exit(1)
})
