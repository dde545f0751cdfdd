/** The data of server-sent events, however the stream was cut; comments and other fields are passed over. */
export function openEvents(onData: (data: string) => void): { readonly push: (text: string) => void } {
  let rest = ''
  let data: string[] = []
  const take = (line: string) => {
    if (line === '') {
      if (data.length > 0) onData(data.join('\n'))
      data = []
    } else if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5))
  }
  return {
    push: (text) => {
      const lines = (rest + text).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) take(line)
    },
  }
}
