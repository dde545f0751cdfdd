import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { cstring, FrameReader, int32, message } from '@millrace/store/embedded/frames'
import type { EmbeddedDatabase } from '@millrace/store/embedded/index'

type Address = Pick<EmbeddedDatabase, 'host' | 'port' | 'user' | 'password' | 'database'>

/** A client that says exactly what a test tells it to. */
export class RawClient {
  readonly socket: Socket
  readonly #reader = new FrameReader()
  #seen = ''
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (piece: Buffer) => {
      for (const { type, bytes } of this.#reader.push(piece)) {
        this.#seen += type === 'E' ? `E${/C(\w{5})\0/.exec(bytes.toString())?.[1]} ` : `${type} `
        if (type === 'Z') this.#seen = `${this.#seen.trimEnd()}${bytes.toString('latin1', 5)} `
      }
      this.#wake()
    })
  }

  static async open({ host, port, user, password, database }: Address): Promise<RawClient> {
    const socket = connect(port, host)
    await once(socket, 'connect')
    const client = new RawClient(socket)
    const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`)
    socket.write(Buffer.concat([int32(8 + body.length), int32(196_608), body]))
    socket.write(message('p', cstring(password)))
    await client.until('ZI')
    return client
  }

  /** Sends messages; resolves to the types of all that came back once `end` is among them. */
  async say(end: string, ...messages: Buffer[]): Promise<string> {
    this.socket.write(Buffer.concat(messages))
    return await this.until(end)
  }

  async until(end: string): Promise<string> {
    while (!this.#seen.split(' ').includes(end)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const seen = this.#seen.trim()
    this.#seen = ''
    return seen
  }
}
