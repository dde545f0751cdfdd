/** A fusion as one text: the name of a preset, or weights of a domain's own as JSON; '' is the usual one. */
export const fusionText = (fusion: string | Readonly<Record<string, unknown>> | null): string =>
  fusion === null ? '' : typeof fusion === 'string' ? fusion : JSON.stringify(fusion)
