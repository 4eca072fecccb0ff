/** Where the application begins. */
import { MantineProvider } from "@mantine/core";
import "@mantine/core/styles.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./app/theme.css";
import { createQueryClient } from "./app/queryClient";
import { createAppRouter, goToSignIn } from "./app/router";

const client = createQueryClient(() => goToSignIn(router));
const router = createAppRouter(client);
const place = document.getElementById("root");
if (place === null) throw new Error("index.html has a place for the application");

createRoot(place).render(
  <StrictMode>
    {/* The policy of the page forbids styles that a script writes; theme.css has what they would say. */}
    <MantineProvider defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
