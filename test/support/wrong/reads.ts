import { type Case, DOCUMENTS } from './case.js'

/** What is asked for and is not there, or not that way. */
export const reads: readonly Case[] = [
  { name: 'an unknown path', method: 'GET', path: '/v1/nope', status: 404, code: 'NOT_FOUND' },
  {
    name: 'another method',
    method: 'PUT',
    path: DOCUMENTS,
    body: {},
    status: 405,
    code: 'METHOD_NOT_ALLOWED',
  },
  {
    name: 'an unknown document',
    method: 'GET',
    path: `${DOCUMENTS}/nope`,
    status: 404,
    code: 'UNKNOWN_DOCUMENT',
  },
  {
    name: 'deleting an unknown document',
    method: 'DELETE',
    path: `${DOCUMENTS}/nope`,
    status: 404,
    code: 'UNKNOWN_DOCUMENT',
  },
  {
    name: 'a document id with NUL',
    method: 'GET',
    path: `${DOCUMENTS}/a%00b`,
    status: 404,
    code: 'UNKNOWN_DOCUMENT',
  },
  {
    name: 'a path with a broken escape',
    method: 'GET',
    path: `${DOCUMENTS}/%E0%A4%A`,
    status: 400,
    code: 'INVALID_REQUEST',
  },
  {
    name: 'an unknown ingestion',
    method: 'GET',
    path: '/v1/ingestions/999999',
    status: 404,
    code: 'UNKNOWN_INGESTION',
  },
  {
    name: 'an ingestion that is no number',
    method: 'GET',
    path: '/v1/ingestions/abc',
    status: 404,
    code: 'UNKNOWN_INGESTION',
  },
  {
    name: 'the events of an unknown ingestion',
    method: 'GET',
    path: '/v1/ingestions/999999/events',
    status: 404,
    code: 'UNKNOWN_INGESTION',
  },
  {
    name: 'a cursor nobody gave',
    method: 'GET',
    path: `${DOCUMENTS}?cursor=%21`,
    status: 400,
    code: 'INVALID_CURSOR',
  },
  {
    name: 'an unknown state',
    method: 'GET',
    path: `${DOCUMENTS}?state=lost`,
    status: 400,
    code: 'INVALID_REQUEST',
  },
  {
    name: 'a page of none',
    method: 'GET',
    path: `${DOCUMENTS}?limit=0`,
    status: 400,
    code: 'INVALID_REQUEST',
  },
]
