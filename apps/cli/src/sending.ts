/** What is shown while documents are sent, before there is an ingestion to follow. */
export interface Sending {
  update(documents: number): void
  stop(): void
}

export const quiet: Sending = { update: () => undefined, stop: () => undefined }

/** Milliseconds between two lines. */
const EVERY_MS = 200

/** One line that is written over; nothing where `out` is no terminal. */
export function sendingLine(out: NodeJS.WriteStream): Sending {
  if (!out.isTTY) return quiet
  let last = performance.now()
  let isDrawn = false
  return {
    update: (documents) => {
      if (performance.now() - last < EVERY_MS) return
      last = performance.now()
      isDrawn = true
      out.write(`\r\x1b[Ksending ${documents.toLocaleString('en')} documents`)
    },
    stop: () => {
      if (isDrawn) out.write('\r\x1b[K')
      isDrawn = false
    },
  }
}
