// The Worker under test, whose hubs can be told to break off: what a fault of the platform does to an object.

export * from "./index.js";
export { default } from "./index.js";
import { Hub as Shipped } from "./index.js";

export class Hub extends Shipped {
  constructor(ctx, env) {
    super(ctx, env);
    this.contextOfTheTest = ctx;
  }

  fetch(request) {
    if (new URL(request.url).pathname === "/abort-for-a-test") this.contextOfTheTest.abort("a test");
    return super.fetch(request);
  }
}
