import { SaxesParser } from 'saxes'
import { fileBroken } from './errors.js'

/** What reads a document's elements as they come. Names are local (`p`, not `w:p`). */
export interface XmlHandler {
  readonly open?: (name: string, attribute: (name: string) => string | undefined) => void
  readonly text?: (text: string) => void
  readonly close?: (name: string) => void
}

const DEPTH_MAX = 1_000

/**
 * Reads XML and throws FILE_BROKEN where it is not well-formed. A DTD is refused: no entity is expanded or fetched.
 * Attributes are found by local name.
 */
export function readXml(bytes: Uint8Array, where: string, handler: XmlHandler): void {
  const parser = new SaxesParser({ xmlns: false, position: false })
  let depth = 0
  parser.on('error', (error) => {
    throw fileBroken(`${where}: ${error.message}`)
  })
  parser.on('doctype', () => {
    throw fileBroken(`${where}: it has a DTD, which no program writes there`)
  })
  parser.on('opentag', (tag) => {
    if (++depth > DEPTH_MAX) throw fileBroken(`${where}: its elements are nested deeper than ${DEPTH_MAX}`)
    handler.open?.(local(tag.name), (name) => attributeOf(tag.attributes, name))
  })
  parser.on('text', (text) => handler.text?.(text))
  parser.on('cdata', (text) => handler.text?.(text))
  parser.on('closetag', (tag) => {
    depth--
    handler.close?.(local(tag.name))
  })
  const text = decodeXml(bytes)
  for (let at = 0; at < text.length; at += 2 ** 16) parser.write(text.slice(at, at + 2 ** 16))
  parser.close()
}

/** Office formats allow UTF-8 and UTF-16; the latter has its mark. */
function decodeXml(bytes: Uint8Array): string {
  const [first, second] = bytes
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  return new TextDecoder().decode(bytes)
}

const local = (name: string): string => name.slice(name.indexOf(':') + 1)

function attributeOf(attributes: Readonly<Record<string, string>>, name: string): string | undefined {
  if (Object.hasOwn(attributes, name)) return attributes[name]
  const key = Object.keys(attributes).find((key) => key.endsWith(`:${name}`))
  return key === undefined ? undefined : attributes[key]
}
