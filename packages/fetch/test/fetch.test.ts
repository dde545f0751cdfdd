import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { type Fetcher, type FetcherDeps, type FetcherOptions, openFetcher, parseAllow } from '@millrace/fetch'
import { afterEach, describe, expect, test } from 'vitest'

const opened: (Fetcher | Server)[] = []
afterEach(() => {
  for (const one of opened.splice(0)) {
    one.close()
    if ('closeAllConnections' in one) one.closeAllConnections()
  }
})

/** A server on 127.0.0.1, and what it was asked. */
async function serve(
  listener: RequestListener,
): Promise<{ url: string; port: number; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    asked.push(request)
    listener(request, response)
  })
  opened.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, asked }
}

const DEPS: FetcherDeps = {
  resolve: async (name) => {
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' })
  },
  sleep: (ms, signal) => sleep(Math.min(ms, 5), undefined, { signal }),
  random: () => 0.5,
  now: Date.now,
}

/** A fetcher that may reach the servers of these tests, and the names that a test makes up. */
function fetcher(
  options: FetcherOptions = {},
  names: Record<string, string[]> = {},
  deps: Partial<FetcherDeps> = {},
): Fetcher {
  const resolve: FetcherDeps['resolve'] = async (name) => {
    const addresses = names[name]
    if (addresses === undefined) return DEPS.resolve(name)
    return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
  const one = openFetcher({ allow: parseAllow('127.0.0.1'), ...options }, { ...DEPS, resolve, ...deps })
  opened.push(one)
  return one
}

const failure = (code: string, more: object = {}) => expect.objectContaining({ code, ...more })

describe('a file is fetched', () => {
  test('with its type, its name and what the next call can compare', async () => {
    const { url, asked } = await serve((_, response) => {
      response.setHeader('content-type', 'text/html; charset=gb18030')
      response.setHeader('content-disposition', 'attachment; filename="a b.html"')
      response.setHeader('etag', '"v1"').setHeader('last-modified', 'Tue, 03 Nov 2026 10:00:00 GMT')
      response.end('<p>hello')
    })
    expect(await fetcher().fetch(`${url}/x?y=1#part`)).toEqual({
      bytes: Buffer.from('<p>hello'),
      mediaType: 'text/html; charset=gb18030',
      url: `${url}/x?y=1`,
      name: 'a b.html',
      etag: '"v1"',
      lastModified: 'Tue, 03 Nov 2026 10:00:00 GMT',
      unchanged: false,
    })
    expect(asked[0]?.headers).toMatchObject({
      'user-agent': 'millrace/0.1',
      'accept-encoding': 'gzip, deflate, br',
    })
    expect(asked[0]?.headers).not.toHaveProperty('if-none-match')
  })

  test('not again when it is unchanged', async () => {
    const { url } = await serve((request, response) => {
      response.statusCode = request.headers['if-none-match'] === '"v1"' ? 304 : 200
      response.setHeader('etag', '"v1"').end()
    })
    const found = await fetcher().fetch(url, { etag: '"v1"', lastModified: 'Tue, 03 Nov 2026 10:00:00 GMT' })
    expect(found).toMatchObject({ unchanged: true, etag: '"v1"', bytes: Buffer.alloc(0) })
  })

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity', Buffer.from],
  ])('decoded from %s', async (encoding, encode) => {
    const { url } = await serve((_, response) => {
      response.setHeader('content-encoding', encoding).end(encode(Buffer.from('text '.repeat(1_000))))
    })
    expect((await fetcher().fetch(url)).bytes.toString()).toBe('text '.repeat(1_000))
  })

  test('where the redirects end, each relative to the one before', async () => {
    const { url } = await serve((request, response) => {
      const next = { '/': '/a/b', '/a/b': 'c', '/a/c': '%E6%96%87.txt' }[request.url ?? '']
      if (next === undefined) response.end(request.url)
      else response.writeHead(302, { location: next }).end('moved')
    })
    expect(await fetcher({ redirectsMax: 3 }).fetch(url)).toMatchObject({
      url: `${url}/a/%E6%96%87.txt`,
      name: '文.txt',
      bytes: Buffer.from('/a/%E6%96%87.txt'),
    })
  })

  test('from a host that is allowed by its name', async () => {
    const { port } = await serve((request, response) => response.end(request.headers.host))
    const found = await fetcher({ allow: parseAllow('wiki.local') }, { 'wiki.local': ['127.0.0.1'] }).fetch(
      `http://wiki.local:${port}/`,
    )
    expect(found.bytes.toString()).toBe(`wiki.local:${port}`)
  })

  test('over one connection, where the server keeps it', async () => {
    const { url, asked } = await serve((_, response) => response.end('x'))
    const one = fetcher()
    await one.fetch(url)
    await one.fetch(url)
    expect(new Set(asked.map(({ socket }) => socket)).size).toBe(1)
  })
})

describe('what is not on the internet is refused', () => {
  const strict = (names: Record<string, string[]> = {}) => fetcher({ allow: parseAllow('') }, names)

  test.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://127.0.0.1./',
    'http://10.1.2.3/',
    'http://169.254.169.254/latest/meta-data/',
    'http://0.0.0.0/',
    'https://192.168.0.1/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[fd00::1]/',
  ])('%s', async (url) => {
    await expect(strict().fetch(url)).rejects.toEqual(failure('URL_REFUSED', { retryable: false }))
  })

  test('localhost, by what the machine itself says it is', async () => {
    const { port, asked } = await serve((_, response) => response.end())
    const one = openFetcher()
    opened.push(one)
    await expect(one.fetch(`http://localhost:${port}/`)).rejects.toEqual(failure('URL_REFUSED'))
    expect(asked).toEqual([])
  })

  test('a name that leads there, were it by one of its addresses', async () => {
    const { port, asked } = await serve((_, response) => response.end())
    const one = strict({ 'inside.example': ['127.0.0.1'], 'both.example': ['93.184.216.34', '::1'] })
    await expect(one.fetch(`http://inside.example:${port}/`)).rejects.toEqual(
      failure('URL_REFUSED', {
        details: { url: `http://inside.example:${port}/`, address: '127.0.0.1', range: 'loopback' },
      }),
    )
    await expect(one.fetch(`https://both.example:${port}/`)).rejects.toEqual(failure('URL_REFUSED'))
    expect(asked).toEqual([])
  })

  test('a name that leads elsewhere the second time', async () => {
    const { port, asked } = await serve((_, response) => response.writeHead(302, { location: '/' }).end())
    const answers = ['127.0.0.1', '127.0.0.2']
    const one = fetcher({}, {}, { resolve: async () => [{ address: answers.shift() ?? '', family: 4 }] })
    await expect(one.fetch(`http://moves.example:${port}/`)).rejects.toEqual(failure('URL_REFUSED'))
    expect(asked).toHaveLength(1)
  })

  test.each(['http://10.0.0.1/x', 'http://inside.example/', '//2130706434/', 'http://[::1]/'])(
    'a redirect to %s',
    async (location) => {
      const { url } = await serve((_, response) => response.writeHead(307, { location }).end())
      await expect(fetcher({}, { 'inside.example': ['192.168.0.9'] }).fetch(url)).rejects.toEqual(
        failure('URL_REFUSED'),
      )
    },
  )

  test.each(['file:///etc/passwd', 'ftp://example.com/x', 'data:text/plain,x', 'javascript:1'])(
    '%s, also as a redirect',
    async (location) => {
      const { url } = await serve((_, response) => response.writeHead(301, { location }).end())
      await expect(fetcher().fetch(location)).rejects.toEqual(failure('URL_REFUSED'))
      await expect(fetcher().fetch(url)).rejects.toEqual(failure('URL_REFUSED'))
    },
  )

  test.each([
    '',
    'no url',
    '/path',
    'http://',
    'https://me:secret@example.com/',
    `http://x/${'y'.repeat(9_000)}`,
  ])('no URL: %.40s', async (url) => {
    const error = await fetcher().fetch(url).catch(String)
    await expect(fetcher().fetch(url)).rejects.toEqual(failure('URL_INVALID'))
    expect(error).not.toContain('secret')
  })
})

describe('a limit ends', () => {
  test('a body that is slow', async () => {
    const { url } = await serve((_, response) => {
      const timer = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(timer))
    })
    await expect(fetcher({ seconds: 0.3 }).fetch(url)).rejects.toEqual(
      failure('URL_TIMEOUT', { retryable: true, details: { url: `${url}/`, seconds: 0.3 } }),
    )
  })

  test('a server that says nothing, and a name that nobody answers for', async () => {
    const { url } = await serve(() => {})
    await expect(fetcher({ seconds: 0.2 }).fetch(url)).rejects.toEqual(failure('URL_TIMEOUT'))
    const silent = fetcher({ seconds: 0.2 }, {}, { resolve: () => new Promise(() => {}) })
    await expect(silent.fetch('http://silent.example/')).rejects.toEqual(failure('URL_TIMEOUT'))
  })

  test('a body without an end, and hangs up', async () => {
    let sent = 0
    let isGone = false
    const { url } = await serve((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384))) sent += 16_384
      }
      response.on('drain', more).on('close', () => {
        isGone = true
      })
      more()
    })
    await expect(fetcher({ bytesMax: 100_000 }).fetch(url)).rejects.toEqual(
      failure('URL_TOO_LARGE', { details: { url: `${url}/`, bytesMax: 100_000 } }),
    )
    await expect.poll(() => isGone).toBe(true)
    // What the buffers of two sockets take, not what the server would send.
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })

  test('a body that says it is too long, before it arrives', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 1_001 }).write('x')
    })
    await expect(fetcher({ bytesMax: 1_000 }).fetch(url)).rejects.toEqual(failure('URL_TOO_LARGE'))
  })

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('a bomb in %s', async (encoding, encode) => {
    const bomb = encode(Buffer.alloc(10_000_000))
    const { url } = await serve((_, response) => response.setHeader('content-encoding', encoding).end(bomb))
    expect(bomb.length).toBeLessThan(100_000)
    await expect(fetcher({ bytesMax: 1_000_000 }).fetch(url)).rejects.toEqual(failure('URL_TOO_LARGE'))
  })

  test('any number of bytes that decode to nothing', async () => {
    const nothing = gzipSync('')
    const { url } = await serve((_, response) => {
      response.setHeader('content-encoding', 'gzip').end(Buffer.concat(Array(20_000).fill(nothing)))
    })
    await expect(fetcher({ bytesMax: 1_000 }).fetch(url)).rejects.toEqual(failure('URL_TOO_LARGE'))
  })

  test('redirects in a circle', async () => {
    const { url, asked } = await serve((request, response) =>
      response.writeHead(302, { location: request.url === '/a' ? '/b' : '/a' }).end(),
    )
    await expect(fetcher().fetch(`${url}/a`)).rejects.toEqual(failure('URL_TOO_MANY_REDIRECTS'))
    expect(asked).toHaveLength(6)
  })

  test('a call that its caller gives up, and all calls when it is closed', async () => {
    const { url } = await serve(() => {})
    const one = fetcher()
    await expect(one.fetch(url, { signal: AbortSignal.timeout(50) })).rejects.toEqual(failure('ABORTED'))
    await expect(one.fetch(url, { signal: AbortSignal.abort() })).rejects.toEqual(failure('ABORTED'))
    const waiting = one.fetch(url)
    setTimeout(() => one.close(), 50)
    await expect(waiting).rejects.toEqual(failure('ABORTED'))
    await expect(one.fetch(url)).rejects.toEqual(failure('ABORTED'))
  })
})

describe('a server that fails', () => {
  test.each([429, 502, 503, 504])('with %s is asked again', async (status) => {
    const { url, asked } = await serve((_, response) => {
      response.statusCode = asked.length < 3 ? status : 200
      response.end('at last')
    })
    expect((await fetcher().fetch(url)).bytes.toString()).toBe('at last')
    expect(asked).toHaveLength(3)
  })

  test('three times in all', async () => {
    const { url, asked } = await serve((_, response) => response.writeHead(503).end())
    await expect(fetcher().fetch(url)).rejects.toEqual(
      failure('URL_STATUS', { retryable: true, details: { url: `${url}/`, status: 503 } }),
    )
    expect(asked).toHaveLength(3)
  })

  test('when it says so', async () => {
    const waited: number[] = []
    const { url, asked } = await serve((_, response) => {
      if (asked.length === 1) response.setHeader('retry-after', '2').writeHead(429).end()
      else response.end()
    })
    const patient = async (ms: number) => waited.push(ms)
    await fetcher({}, {}, { sleep: patient }).fetch(url)
    expect(waited).toEqual([2_250])
  })

  test('not at all when that is later than there is time', async () => {
    const { url, asked } = await serve((_, response) =>
      response.setHeader('retry-after', '31').writeHead(503).end(),
    )
    await expect(fetcher().fetch(url)).rejects.toEqual(
      failure('URL_STATUS', { details: { url: `${url}/`, status: 503, retryAfterMs: 31_000 } }),
    )
    expect(asked).toHaveLength(1)
  })

  test.each([400, 401, 404, 410, 500, 206, 304])('with %s is not', async (status) => {
    const { url, asked } = await serve((_, response) => response.writeHead(status).end())
    await expect(fetcher().fetch(`${url}/gone?key=secret`)).rejects.toEqual(
      failure('URL_STATUS', {
        message: `${url}/gone answers ${status}`,
        retryable: false,
        details: { url: `${url}/gone`, status },
      }),
    )
    expect(asked).toHaveLength(1)
  })

  test('by hanging up is asked again, also in the middle of a body', async () => {
    const { url, asked } = await serve((_, response) => {
      if (asked.length === 1) response.destroy()
      else if (asked.length === 2) {
        response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy())
      } else response.end('whole')
    })
    expect((await fetcher().fetch(url)).bytes.toString()).toBe('whole')
  })

  test('to be there is unreachable', async () => {
    const { url } = await serve(() => {})
    const server = opened.pop()
    await new Promise((resolve) => (server as Server).close(resolve))
    await expect(fetcher().fetch(url)).rejects.toEqual(failure('URL_UNREACHABLE', { retryable: true }))
    await expect(fetcher().fetch('http://nowhere.example/')).rejects.toEqual(
      failure('URL_UNREACHABLE', { retryable: false }),
    )
    await expect(fetcher({}, { 'empty.example': [] }).fetch('http://empty.example/')).rejects.toEqual(
      failure('URL_UNREACHABLE'),
    )
  })

  test.each([
    ['a coding that nobody asked for', { 'content-encoding': 'zstd' }],
    ['two codings', { 'content-encoding': 'gzip, gzip' }],
    ['what is no gzip', { 'content-encoding': 'gzip' }],
    ['what is no brotli', { 'content-encoding': 'br' }],
    ['headers without an end', { 'x-long': 'x'.repeat(20_000) }],
  ])('to send what can be read: %s', async (_, headers) => {
    const { url } = await serve((_, response) => response.writeHead(200, headers).end('plain text'))
    await expect(fetcher().fetch(url)).rejects.toEqual(failure('URL_BAD_ANSWER', { retryable: false }))
  })

  test('to say where it redirects', async () => {
    const { url } = await serve((_, response) => response.writeHead(302).end())
    await expect(fetcher().fetch(url)).rejects.toEqual(failure('URL_BAD_ANSWER'))
  })
})
