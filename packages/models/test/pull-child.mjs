// Pulls a model in a process of its own: the manifest's file, the models folder, the hub.
import { readFileSync } from 'node:fs'
import { parseFolder } from '@millrace/embed'
import { pullModel, readHub } from '@millrace/models'

const [manifest = '', modelsDir = '', endpoint = ''] = process.argv.slice(2)
const pulled = await pullModel(parseFolder(JSON.parse(readFileSync(manifest, 'utf8')), manifest), {
  modelsDir,
  hub: readHub({ HF_ENDPOINT: endpoint }),
  concurrency: 2,
  progress: {
    waiting: ({ pid }) => console.log(JSON.stringify({ waiting: pid })),
    bytes: (path, bytes) => console.log(JSON.stringify({ path, bytes })),
  },
})
console.log(JSON.stringify(pulled))
