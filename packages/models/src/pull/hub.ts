import { CodedError } from '@millrace/errors'

/** A hub with the layout of Hugging Face's. */
export interface Hub {
  /** Without a slash at its end. */
  readonly endpoint: string
  /** Sent to the endpoint only, never to where it redirects. */
  readonly token: string | undefined
}

/** Of a repository, at a commit, tag or branch. */
export interface HubPlace {
  readonly repo: string
  readonly revision: string
}

const PUBLIC_ENDPOINT = 'https://huggingface.co'

/**
 * HF_ENDPOINT (default the public hub; a path in it stays) and HF_TOKEN. An empty variable is one that is not set.
 * @throws CodedError SETTING_INVALID
 */
export function readHub(env: Readonly<Record<string, string | undefined>>): Hub {
  const endpoint = env.HF_ENDPOINT?.trim() || PUBLIC_ENDPOINT
  const protocol = URL.canParse(endpoint) ? new URL(endpoint).protocol : undefined
  if (protocol !== 'http:' && protocol !== 'https:') {
    // Not repeated: it may carry a password.
    throw new CodedError('SETTING_INVALID', 'HF_ENDPOINT is not an http URL', {
      hint: `Write it like ${PUBLIC_ENDPOINT}`,
      details: { setting: 'HF_ENDPOINT' },
    })
  }
  const token = env.HF_TOKEN?.trim() || undefined
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new CodedError('SETTING_INVALID', 'HF_TOKEN has characters that no header can carry', {
      hint: 'Copy the token again',
      details: { setting: 'HF_TOKEN' },
    })
  }
  return { endpoint: endpoint.replace(/\/+$/, ''), token }
}

/** Where the hub has a file; it may redirect from there. */
export const fileUrl = ({ endpoint }: Hub, { repo, revision }: HubPlace, path: string): string =>
  `${endpoint}/${encoded(repo)}/resolve/${encodeURIComponent(revision)}/${encoded(path)}`

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

/**
 * The headers of a request for a file, from `offset` bytes on. Ranges and sizes are those of the file as it is, so
 * it must not be compressed on its way. fetch takes the token off when a redirect leads to another origin.
 */
export const headersFor = ({ token }: Hub, offset: number): Record<string, string> => ({
  'accept-encoding': 'identity',
  ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  ...(offset === 0 ? {} : { range: `bytes=${offset}-` }),
})
