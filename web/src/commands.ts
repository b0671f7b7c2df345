// commands.ts - how to make on a command line what the page shows.
import { m, p, state } from "./store";

const quote = (s: string): string => (/^[\w./:@%+=,-]+$/.test(s) ? s : `'${s.replace(/'/g, "'\\''")}'`);
const modelWord = (): string => { const x = state.value?.models.find((i) => i.id === m.value); return quote(x?.command || x?.name || "MODEL"); };
const pictureWord = (): string => { const x = state.value?.pictures.find((i) => i.id === p.value); return quote(x?.command || x?.name || "PICTURE"); };

export const command = (verb: string, ...rest: string[]): string => ["convscope", verb, modelWord(), ...rest].join(" ");
export const commandWithPicture = (verb: string, ...rest: string[]): string => ["convscope", verb, modelWord(), pictureWord(), ...rest].join(" ");
export const word = quote;
