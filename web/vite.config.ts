/** How the application is built, tried out beside a running server, and tested. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** The server that `npm run dev` passes calls on to. */
const SERVER = process.env["SIXPACK_URL"] ?? "http://127.0.0.1:6776";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "~": new URL("./src", import.meta.url).pathname } },
  build: {
    outDir: "dist",
    // The folder holds a file that is kept; `scripts/clean.mjs` empties the rest.
    emptyOutDir: false,
    target: "es2023",
    // Inlined files would be `data:` addresses, which the policy allows for pictures only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": { target: SERVER, changeOrigin: true }, "/docs": SERVER, "/version": SERVER } },
  test: {
    environment: "jsdom",
    setupFiles: ["src/testing/setup.ts"],
    css: false,
    restoreMocks: true,
    testTimeout: 60_000,
  },
});
