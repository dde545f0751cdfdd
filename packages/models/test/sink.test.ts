import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DataType, externalOf, openTensorData } from '@millrace/embed/onnx'
import { openBeside } from '@millrace/models/quantize/sink'
import { expect, test } from 'vitest'

test('tensors beside the graph are written in pieces, aligned, and can be read again; small ones stay inside', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sink-'))
  const path = join(dir, 'model.onnx_data')
  const sink = await openBeside(path)
  async function* pieces(length: number) {
    for (let at = 0; at < length; at += 1_000)
      yield new Uint8Array(Math.min(1_000, length - at)).fill(at / 1_000)
  }
  const shape = (name: string, rows: bigint) => ({ name, dims: [rows, 10n], dataType: DataType.INT8 })
  const first = await sink.add(shape('first', 150n), pieces(1_500))
  const small = await sink.add(shape('small', 5n), pieces(50))
  const second = await sink.add(shape('second', 200n), pieces(2_000))
  const finished = await sink.finish()
  await sink.close()
  expect(externalOf(first)).toEqual({ location: 'model.onnx_data', offset: 0, length: 1_500 })
  expect(externalOf(small)).toBeUndefined()
  expect(externalOf(second)).toEqual({ location: 'model.onnx_data', offset: 1_536, length: 2_000 })
  const bytes = await readFile(path)
  expect(finished).toEqual({ bytes: 3_536, sha256: createHash('sha256').update(bytes).digest('hex') })
  const data = openTensorData(dir)
  expect([...(await data.read(second, 998, 1_002))]).toEqual([0, 0, 1, 1])
  await data.close()
  await rm(dir, { recursive: true })
})
