/** What the command line does for those who write plugins, and for shells. */
import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { commandRows, recordNames } from '../../core/commands/table.ts'
import { place } from './place.fixture.ts'

describe('postern new', () => {
  for (const kind of ['plugin', 'provider']) {
    test(`makes a ${kind} that runs as it is, and writes over nothing`, async () => {
      await using there = await place({ 'gateway.yaml': 'plugins: [openai]' })
      const made = await there.postern(['new', kind, 'my-own'])
      assert.equal(made.code, 0, made.err)
      assert.match(made.out, /^ {2}- \.\/our-plugins\/my-own$/m)
      for (const file of [
        'index.ts',
        'my-own.test.ts',
        'my-own.bench.ts',
        'README.md',
        'package.json',
        'tsconfig.json',
      ])
        await access(join(there.folder, 'our-plugins/my-own', file))
      assert.match(await there.read('our-plugins/my-own/README.md'), /^\| Option \| Type/m)
      const again = await there.postern(['new', kind, 'my-own'])
      assert.equal(again.code, 1)
      assert.match(again.err, /is there already; nothing was written/)

      await there.write('gateway.yaml', 'plugins: [./our-plugins/my-own, openai]')
      assert.match((await there.postern(['check'])).out, /is well: 2 plugins/)
    })
  }

  test('refuses names that cannot be', async () => {
    await using there = await place({})
    for (const words of [['plugin'], ['plugin', 'My'], ['plugin', '../x'], ['plugin', 'openai'], ['gadget', 'x'], []])
      assert.equal((await there.postern(['new', ...words])).code, 2, words.join(' '))
  })
})

describe('postern schema', () => {
  test("writes the house's and the file's own plugins into one schema, and fresh tables into their READMEs", async () => {
    await using there = await place({ 'gateway.yaml': 'plugins: [openai]' })
    await there.postern(['new', 'plugin', 'my-own'])
    await there.write('gateway.yaml', 'plugins: [openai, { ./our-plugins/my-own: { header: x-a } }]')
    const readme = await there.read('our-plugins/my-own/README.md')
    await there.write('our-plugins/my-own/README.md', readme.replace(/^\| `header`.*$/m, ''))
    const { code, out, err } = await there.postern(['schema'])
    assert.equal(code, 0, err)
    assert.match(out, /README\.md: a fresh table/)
    assert.equal(await there.read('our-plugins/my-own/README.md'), readme)
    const schema = await there.read('gateway.schema.json')
    assert.match(schema, /"\.\/our-plugins\/my-own"/)
    assert.match(schema, /The header that has to be there/)
    assert.match(schema, /"ip-rules"/)
  })

  test('writes nothing where a plugin cannot be loaded', async () => {
    await using there = await place({ 'gateway.yaml': 'plugins: [./none]' })
    const { code, err } = await there.postern(['schema'])
    assert.equal(code, 1)
    assert.match(err, /\.\/none cannot be loaded/)
    await assert.rejects(access(join(there.folder, 'gateway.schema.json')))
  })
})

describe('postern completion', () => {
  test('knows every command, in every shell that it is there for', async () => {
    await using there = await place({})
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, out } = await there.postern(['completion', shell])
      assert.equal(code, 0)
      for (const name of Object.keys(commandRows)) assert.match(out, new RegExp(`\\b${name}\\b`), `${shell} ${name}`)
    }
    assert.equal((await there.postern(['completion', 'powershell'])).code, 2)
  })

  test('completes in bash', async () => {
    await using there = await place({})
    await there.write('completion.bash', (await there.postern(['completion', 'bash'])).out)
    const complete = async (...words: string[]) => {
      const line = `source ./completion.bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _postern; printf '%s\\n' "\${COMPREPLY[@]}"`
      return (await there.run('bash', '-c', line)).out.trim().split('\n')
    }
    assert.deepEqual(await complete('postern', 'ch'), ['check'])
    assert.deepEqual(await complete('postern', 'ke'), [recordNames[2]])
    assert.deepEqual(await complete('postern', 'migrate', ''), [
      'plan',
      'up',
      'status',
      '--config',
      '--json',
      '--database',
      '--folder',
      '--help',
    ])
    assert.deepEqual(await complete('postern', 'check', '--config', 'compl'), ['completion.bash'])
  })
})
