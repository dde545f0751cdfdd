import type { Count } from './chunking/count.js'
import { graphemeEnd, isHan } from './chunking/graphemes.js'

/**
 * Shortens a context (a title) from its end until `count` gives at most `max` tokens, special tokens included: after a
 * word or a Chinese character where possible, else after a grapheme. '' when nothing fits. A quarter of the chunk size
 * is a good `max`: chunk() refuses a context above half of it.
 */
export async function fitContext(context: string, count: Count, max: number): Promise<string> {
  if (context === '' || (await fits(context, count, max))) return context
  return (
    (await longest(context, wordEnds(context), count, max)) ??
    (await longest(context, graphemeEnds(context), count, max)) ??
    ''
  )
}

/** The longest prefix that fits, by bisection: a prefix has no more tokens than a longer one, but for rare merges. */
async function longest(
  context: string,
  ends: readonly number[],
  count: Count,
  max: number,
): Promise<string | undefined> {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (await fits(context.slice(0, ends[middle]), count, max)) low = middle + 1
    else high = middle
  }
  return low === 0 ? undefined : context.slice(0, ends[low - 1])
}

async function fits(text: string, count: Count, max: number): Promise<boolean> {
  const [tokens = Number.POSITIVE_INFINITY] = await count([text])
  return tokens <= max
}

function wordEnds(text: string): number[] {
  const ends: number[] = []
  for (let at = 1; at < text.length; at++) {
    const before = text.charCodeAt(at - 1)
    const white = /\s/.test(text[at] ?? '') && !/\s/.test(text[at - 1] ?? '')
    if (white || (isHan(before) && isHan(text.charCodeAt(at)))) ends.push(at)
  }
  return ends
}

function graphemeEnds(text: string): number[] {
  const ends: number[] = []
  for (
    let at = graphemeEnd(text, 0, text.length);
    at < text.length;
    at = graphemeEnd(text, at, text.length)
  ) {
    ends.push(at)
  }
  return ends
}
