import type { Part } from './contract.js'
import { textTooLong } from './errors.js'
import type { Limits } from './limits.js'

/** Collects a text block by block, with the starts of its parts. Throws FILE_TEXT_TOO_LONG once it is above its limit. */
export class Output {
  readonly #limits: Limits
  readonly #blocks: string[] = []
  readonly #layout: Part[] = []
  #length = 0
  #bytes = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Adds a block, a blank line after the one before. Nothing when it is blank. */
  block(text: string): void {
    const block = storable(text).replace(/^\n+/, '').trimEnd()
    if (block.trim() === '') return
    if (this.#blocks.length > 0) this.#add('\n\n')
    this.#add(block)
  }

  /** Says that a part starts with the next block. */
  part(kind: Part['kind'], number: number, name?: string): void {
    const start = this.#blocks.length === 0 ? 0 : this.#length + 2
    const named = name === undefined || name === '' ? {} : { name: storable(name) }
    this.#layout.push({ kind, number, ...named, start })
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0
  }

  /** The text, and the parts that start within it: one after the last block, an empty page, has no place there. */
  end(): { readonly text: string; readonly layout: readonly Part[] } {
    return {
      text: this.#blocks.join(''),
      layout: this.#layout.filter(({ start }) => start < this.#length),
    }
  }

  #add(text: string): void {
    this.#blocks.push(text)
    this.#length += text.length
    this.#bytes += Buffer.byteLength(text)
    if (this.#bytes > this.#limits.textBytes) throw textTooLong(this.#limits)
  }
}

/** What UTF-8 and Postgres can keep: no NUL, no half of a surrogate pair; line breaks are LF. */
export const storable = (text: string): string =>
  text.replace(/\r\n?/g, '\n').replaceAll('\0', '').toWellFormed()
