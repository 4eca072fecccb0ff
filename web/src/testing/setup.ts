/** What every test has: a server that answers nothing that was not arranged, and what jsdom lacks of a browser. */
import "@testing-library/jest-dom/vitest";
import { cleanup, configure } from "@testing-library/react";
import { afterAll, afterEach, beforeAll, vi } from "vitest";
import { server } from "./server";

// Reached only when something hangs, on however busy a machine.
configure({ asyncUtilTimeout: 10_000 });

beforeAll(() => server.listen({ onUnhandledRequest: "error" }));

afterEach(() => {
  cleanup();
  server.resetHandlers();
  localStorage.clear();
});

afterAll(() => server.close());

Object.defineProperty(window, "matchMedia", {
  value: (query: string) => ({
    matches: false,
    media: query,
    addEventListener: vi.fn(),
    removeEventListener: vi.fn(),
    addListener: vi.fn(),
    removeListener: vi.fn(),
  }),
});

/** Every element has the size of a small window, so that lists know how much of them is seen. */
Object.defineProperty(HTMLElement.prototype, "offsetHeight", { configurable: true, get: () => 600 });
Object.defineProperty(HTMLElement.prototype, "offsetWidth", { configurable: true, get: () => 1000 });

class Observer {
  observe = vi.fn();
  unobserve = vi.fn();
  disconnect = vi.fn();
}
vi.stubGlobal("ResizeObserver", Observer);
vi.stubGlobal("IntersectionObserver", Observer);
// jsdom draws nothing; what is drawn on a canvas is looked at in a real browser.
vi.mock("uplot", () => {
  class Plot {
    static paths = {};
    setData = vi.fn();
    setSize = vi.fn();
    destroy = vi.fn();
  }
  return { default: Plot };
});
Object.defineProperty(document, "fonts", { value: { addEventListener: vi.fn(), removeEventListener: vi.fn() } });
// Newer browsers answer with a promise.
Element.prototype.scrollIntoView = vi.fn<() => unknown>(() => Promise.resolve());
window.scrollTo = vi.fn() as never;
