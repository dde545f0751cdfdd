/** The fields of metadata that a filter names, each once. Its depth has been checked. */
export function fieldsOf(filter: Readonly<Record<string, unknown>>): string[] {
  const fields = new Set<string>()
  const walk = (part: unknown): void => {
    if (part === null || typeof part !== 'object' || Array.isArray(part)) return
    for (const [name, value] of Object.entries(part)) {
      if (name === 'and' || name === 'or') for (const inner of Array.isArray(value) ? value : []) walk(inner)
      else if (name === 'not') walk(value)
      else if (!name.startsWith('document.')) fields.add(name)
    }
  }
  walk(filter)
  return [...fields]
}
