import type { Answer } from '../../api/client.ts'

export type Status = Answer<'/v1/status', 'get'>
export type Models = Answer<'/v1/models', 'get'>['models']
