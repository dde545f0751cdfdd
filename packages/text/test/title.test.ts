import { titleOf } from '@millrace/text'
import { expect, test } from 'vitest'

test.each([
  ['an ATX heading', 'Intro\n\n## Reset a password ##\n', 'Reset a password'],
  ['a Setext heading', 'Returns\n=======\n\nText', 'Returns'],
  ['front matter before a heading', '---\ntitle: "退款"\n---\n# Other', '退款'],
  ['the first heading when front matter has no title', '---\nid: 3\n---\n# Other', 'Other'],
  ['a heading behind code that looks like one', '```sh\n# not me\n```\n# Me', 'Me'],
])('the title is %s', (_name, markdown, title) => {
  expect(titleOf(markdown)).toBe(title)
})

test('a text without a heading has no title', () => {
  expect(titleOf('Just text.\n#hashtag')).toBeUndefined()
  expect(titleOf('')).toBeUndefined()
})
