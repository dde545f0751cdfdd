import { ref } from 'vue'
import { answer, api } from '../../api/client.ts'
import { useLoad } from '../../lib/load.ts'
import { batchesOf, bytesOfGoods, type Goods } from './batches.ts'
import { addCost, type Cost, estimateOf, NO_COST } from './cost.ts'
import { type BadDocument, refusalsIn } from './reasons.ts'
import { type Plan, sendBatch } from './send.ts'
import { FILE_GONE } from './upload.ts'

/** What loading would cost: every batch as a dry run, and the speed of the workers. */
export function useCosting() {
  const bytesSent = ref(0)
  const load = useLoad(async (signal, domain: string, goods: Goods) => {
    bytesSent.value = 0
    let cost: Cost = NO_COST
    const refused: BadDocument[] = []
    const lost = ({ id }: { readonly id: string }) => refused.push({ name: id, code: FILE_GONE, message: '' })
    let before = 0
    for await (const batch of batchesOf(goods, lost)) {
      const onSent = (bytes: number) => {
        bytesSent.value = before + bytes
      }
      const plan = await sendBatch<Plan>(domain, batch, { dryRun: true, signal, onSent })
      cost = addCost(cost, plan)
      refused.push(...refusalsIn(plan.rejected, batch.nameOf))
      before += batch.bytes
      bytesSent.value = before
    }
    const status = await answer(api.GET('/v1/status', { signal }))
    return { cost, refused, hasWorker: status.workers.length > 0, estimate: estimateOf(cost, status) }
  })
  return { load, bytesSent, bytesOfGoods }
}
