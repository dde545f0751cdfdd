/** How a number is meant to be shown. */
export type NumberStyle = 'plain' | 'percent' | 'date' | 'time' | 'datetime' | 'duration'

/** Ids of formats that stand in no file, since every program knows them; those of East Asian programs included. */
const BUILT_IN: Readonly<Record<number, NumberStyle>> = {
  9: 'percent',
  10: 'percent',
  14: 'date',
  15: 'date',
  16: 'date',
  17: 'date',
  18: 'time',
  19: 'time',
  20: 'time',
  21: 'time',
  22: 'datetime',
  27: 'date',
  28: 'date',
  29: 'date',
  30: 'date',
  31: 'date',
  32: 'time',
  33: 'time',
  34: 'time',
  35: 'time',
  36: 'date',
  45: 'time',
  46: 'duration',
  47: 'time',
  50: 'date',
  51: 'date',
  52: 'date',
  53: 'date',
  54: 'date',
  55: 'time',
  56: 'time',
  57: 'date',
  58: 'date',
}

/** The style of a number format: its code where the file has one, else its id. */
export function styleOf(id: number, code?: string): NumberStyle {
  if (code === undefined) return BUILT_IN[id] ?? 'plain'
  if (/\[(?:h+|m+|s+)\]/i.test(code)) return 'duration'
  // What is quoted or escaped is shown as it is; brackets hold colours, conditions and locales.
  const meant = (code.split(';')[0] ?? '').replace(/"[^"]*"|\\.|_.|\*.|\[[^\]]*\]/g, '')
  const isTime = /[hs]/i.test(meant) || /AM\/PM|上午/i.test(meant)
  const isDate = /[yd]|e+(?![+-])/i.test(meant.replace(/general/gi, '')) || (!isTime && /m/i.test(meant))
  if (/general/i.test(meant) || /[0#?]/.test(meant.replace(/\.0+/g, ''))) {
    return meant.includes('%') ? 'percent' : 'plain'
  }
  if (isDate) return isTime ? 'datetime' : 'date'
  return isTime ? 'time' : meant.includes('%') ? 'percent' : 'plain'
}

const DAY_MS = 86_400_000

/** A number of a cell as text: dates and times as ISO 8601, others with the digits that matter. */
export function shown(value: string, style: NumberStyle, is1904: boolean): string {
  const number = Number(value)
  if (value.trim() === '' || !Number.isFinite(number)) return value
  switch (style) {
    case 'percent':
      return `${rounded(number * 100)}%`
    case 'duration': {
      const seconds = Math.round(number * 86_400)
      const sign = seconds < 0 ? '-' : ''
      const rest = Math.abs(seconds)
      return `${sign}${Math.floor(rest / 3600)}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`
    }
    case 'date':
    case 'time':
    case 'datetime':
      return dated(number, style, is1904) ?? rounded(number)
    default:
      return rounded(number)
  }
}

function dated(number: number, style: 'date' | 'time' | 'datetime', is1904: boolean): string | null {
  // Excel counts a 29 February 1900, so that days before it are one off.
  const days = is1904 ? number + 1462 : number < 60 ? number + 1 : number
  const at = Date.UTC(1899, 11, 30) + Math.round((days * DAY_MS) / 1000) * 1000
  if (number < 0 || days > 2_958_466) return null
  const iso = new Date(at).toISOString()
  const time = iso.slice(11, 19).replace(/:00$/, '')
  if (style === 'time') return time
  return style === 'datetime' || (number % 1 !== 0 && time !== '00:00')
    ? `${iso.slice(0, 10)} ${time}`
    : iso.slice(0, 10)
}

/** 0.1 + 0.2 as 0.3: the 15 digits that the program shows; longer whole numbers in full. */
const rounded = (number: number): string =>
  Number.isSafeInteger(number) ? String(number) : String(Number(number.toPrecision(15)))

const two = (number: number): string => String(number).padStart(2, '0')
