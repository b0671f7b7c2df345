// commands.ts - how to make on a command line what the page shows.
import { m, p, state } from "./store";

const quote = (s: string): string => (/^[\w./:@%+=,-]+$/.test(s) ? s : `'${s.replace(/'/g, "'\\''")}'`);
const modelWord = (): string => { const x = state.value?.models.find((i) => i.id === m.value); return quote(x?.command || x?.name || "MODEL"); };
const pictureWord = (): string => { const x = state.value?.pictures.find((i) => i.id === p.value); return quote(x?.command || x?.name || "PICTURE"); };

export const command = (verb: string, ...rest: string[]): string => ["convscope", verb, modelWord(), ...rest].join(" ");
export const commandWithPicture = (verb: string, ...rest: string[]): string => ["convscope", verb, modelWord(), pictureWord(), ...rest].join(" ");
const named = (list: { id: number; name: string; command: string }[] | undefined, id: number, other: string): string => { const x = list?.find((i) => i.id === id); return quote(x?.command || x?.name || other); };
/** What is compared with what is chosen: another picture, another model. */
export function compareCommand(m2: number, p2: number, alike: boolean): string {
  const second = p2 === p.value ? [] : [named(state.value?.pictures, p2, "PICTURE")], other = m2 === m.value ? [] : ["--with", named(state.value?.models, m2, "MODEL")];
  return commandWithPicture("compare", ...second, ...other, ...(alike ? ["--alike"] : []));
}
export const word = quote;
