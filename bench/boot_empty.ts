/** The smallest program of Deno's, for the time that Deno itself takes to start. */
console.log("Deno has started");
