// npm run build: types from the API's own description, a check of the types, then the page. A view of the public
// HTTP API and nothing else: what the API does not describe does not compile here.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import { buildServer } from '@millrace/api/server'
import { openLog, readSettings } from '@millrace/flow'
import openapiTypes, { astToString } from 'openapi-typescript'
import { build } from 'vite'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)

await writeTypes()
checkTypes()
await build({ logLevel: 'warn' })
await compress(join(root, 'dist', 'assets'))

async function writeTypes() {
  // Describing the calls needs none of what answering them does.
  const server = await buildServer({
    settings: readSettings({}),
    log: openLog('silent', 'web'),
    defaultModel: '',
  })
  await server.ready()
  const types = astToString(await openapiTypes(server.swagger()))
  await server.close()
  const file = join(root, 'src', 'api', 'schema.d.ts')
  await mkdir(dirname(file), { recursive: true })
  if ((await readFile(file, 'utf8').catch(() => '')) !== types) await writeFile(file, types)
}

/** vue-tsc with this package's TypeScript: the workspace's has no JavaScript API. */
function checkTypes() {
  const require = createRequire(import.meta.url)
  process.argv = [process.argv[0], 'vue-tsc', '-p', join(root, 'tsconfig.json')]
  const exit = process.exit
  process.exit = (code) => {
    if (code) exit(code)
    return undefined
  }
  require('vue-tsc').run(require.resolve('typescript/lib/tsc'))
  process.exit = exit
}

/** Beside each file, what a server sends to those who take it compressed. */
async function compress(dir) {
  for (const name of await readdir(dir)) {
    if (/\.(gz|br|woff2)$/.test(name)) continue
    const bytes = await readFile(join(dir, name))
    await writeFile(join(dir, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }))
    await writeFile(join(dir, `${name}.br`), await promisify(brotliCompress)(bytes))
  }
}
