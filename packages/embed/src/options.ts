import { CodedError } from '@millrace/errors'
import type { EngineOptions } from './contract.js'
import { PROVIDERS } from './provider.js'

/**
 * For callers without types: what is out of range here fails far away, or not at all.
 * @throws CodedError BAD_OPTION, naming it
 */
export function checkOptions(options: EngineOptions): void {
  const { modelDirs, isolation, provider } = options
  if (!Array.isArray(modelDirs) || modelDirs.some((dir) => typeof dir !== 'string')) {
    throw badOption('modelDirs', modelDirs, 'it must be a list of folders')
  }
  for (const name of ['threads', 'sessions', 'batchTokens', 'attentionBudget'] as const) {
    const value: unknown = options[name]
    if (value !== undefined && !(Number.isInteger(value) && Number(value) >= 1)) {
      throw badOption(name, value, 'it must be a whole number from 1')
    }
  }
  if (isolation !== undefined && isolation !== 'process' && isolation !== 'thread') {
    throw badOption('isolation', isolation, 'it must be process or thread')
  }
  if (provider !== undefined && !PROVIDERS.includes(provider)) {
    throw badOption('provider', provider, `it must be one of ${PROVIDERS.join(', ')}`)
  }
}

const badOption = (name: string, value: unknown, hint: string): CodedError =>
  new CodedError('BAD_OPTION', `The option ${name} is ${JSON.stringify(value)}`, { hint })
