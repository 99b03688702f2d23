/** Runs in a guest and ends in the way that its last argument names, to show what becomes of the exit status. */

import process from "node:process";

const how = Deno.args.at(-1);
console.log(`process ${process.pid}, main ${import.meta.main}, arguments ${JSON.stringify(Deno.args)}`);
console.log(`Node's arguments ${JSON.stringify(process.argv.slice(2))}`);
globalThis.addEventListener("unload", () => console.log(`unloaded with ${Deno.exitCode}`));

function broken(): never {
  throw new RangeError("Broken on purpose", { cause: new Error("the cause") });
}

switch (how) {
  case "exit":
    setTimeout(() => Deno.exit(7), 10);
    break;
  case "throw":
    setTimeout(broken, 10);
    break;
  case "prevent":
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      console.log(`prevented: ${event.reason.message}`);
    });
    setTimeout(() => Promise.reject(new Error("one")), 10);
    setTimeout(() => Promise.reject(new Error("two")), 20);
    setTimeout(() => console.log("still here"), 30);
    break;
  case "stay":
    setInterval(() => {}, 1000);
    console.log("staying");
    break;
  default:
    broken();
}
